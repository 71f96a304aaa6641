/**
 * Which rules measure a flow: a worker's own note for the fast path, where no entry is asked. A flow record says only that there
 * are some; a worker that does not know which, or no more, leaves the packet to the walks, which make the note anew.
 *
 *   word 0..5  those of the flow record: key, generation and lane, new address     6  new port     7  how many     8..  their tallies
 *
 * All that decided which entries match is in these words: where the same key leads to another inside end, or another
 * policy has compiled it, they differ.
 */
import { F_DO, F_DST, F_LANE, F_PORTS, F_SRC, F_TO, FLOW_WORDS } from '../tables/flows.js';
import type { Tallies } from './tallies.js';

/** Rules that measure a flow in one direction; with more its packets all take the walks. */
export const MOST_METERS = 8;
const NOTE_WORDS = 16;
const PORT = 6, COUNT = 7, FIRST = 8;
/** Places for notes, two in each: 2 MiB, once there is a rule that measures. */
const PLACE_BITS = 14;
const PLACE_WORDS = 2 * NOTE_WORDS;

export class MeterCache {
  /** What the packet in hand has met in the walks. */
  readonly found = new Int32Array(MOST_METERS);
  #notes: Int32Array = new Int32Array(0);

  /** Note that the first `count` of `found` measure the flow whose record, at `flow`, holds these words. They are told, for the record may be another's by now. */
  note(flow: number, key: number, src: number, dst: number, ports: number, lane: number, to: number, port: number, count: number): void {
    if (this.#notes.length === 0) this.#notes = new Int32Array(PLACE_WORDS << PLACE_BITS);
    const notes = this.#notes, at = placeOf(flow);
    notes.copyWithin(at + NOTE_WORDS, at, at + NOTE_WORDS);
    notes[at] = key;
    notes[at + F_SRC] = src;
    notes[at + F_DST] = dst;
    notes[at + F_PORTS] = ports;
    notes[at + F_LANE] = lane;
    notes[at + F_TO] = to;
    notes[at + PORT] = port;
    notes[at + COUNT] = count;
    for (let i = 0; i < count; i++) notes[at + FIRST + i] = this.found[i];
  }

  /** Where the note about the record at `flow` is, or -1. */
  find(words: Int32Array, flow: number): number {
    const notes = this.#notes;
    if (notes.length === 0) return -1;
    const at = placeOf(flow);
    return isOf(notes, at, words, flow) ? at : isOf(notes, at + NOTE_WORDS, words, flow) ? at + NOTE_WORDS : -1;
  }

  /** Count a packet for all rules of a note. */
  count(note: number, tallies: Tallies, bytes: number): void {
    const notes = this.#notes;
    for (let i = note + FIRST, end = i + notes[note + COUNT]; i < end; i++) tallies.add(notes[i], bytes);
  }
}

function placeOf(flow: number): number {
  return (Math.imul(flow / FLOW_WORDS, 0x9e3779b1) >>> 32 - PLACE_BITS) * PLACE_WORDS;
}

function isOf(notes: Int32Array, at: number, words: Int32Array, flow: number): boolean {
  return notes[at + F_PORTS] === words[flow + F_PORTS] && notes[at + F_SRC] === words[flow + F_SRC] && notes[at + F_DST] === words[flow + F_DST] && notes[at] === words[flow]
    && notes[at + F_LANE] === words[flow + F_LANE] && notes[at + F_TO] === words[flow + F_TO] && notes[at + PORT] === words[flow + F_DO] >>> 16;
}
