/**
 * Flows that a new policy forbids, as a list in shared memory: whoever ends one writes it down, control reads and names
 * them. Bounded, the oldest give way; who reads too late is told how many those were.
 *
 *   word 0       number of the note + 1, stored last; 0 while it is being written
 *   word 1       tenant:16 | protocol:8 | kind:8
 *   word 2..5    inside address, or the source of a flow without state     words 6..9  the other end
 *   word 10      their ports
 *   word 11      why:8 | generation:8 that forbids it
 *   word 12      rule that does, or -1; as that generation numbers them
 *   word 13      when, seconds
 *   word 14, 15  outside address and port of a NAT session
 */
import type { Ends } from './connections.js';

/** What was revoked: a NAT session, a connection of a stateful ACL entry, a flow that had no state. */
export const RevokedKind = { session: 1, connection: 2, flow: 3 } as const;
/** Why, in the order in which it is asked. `state`: no stateful entry would let it open any more. */
export const Why = { tenant: 1, pool: 2, mapping: 3, block: 4, record: 5, route: 6, acl: 7, state: 8, filtering: 9 } as const;
export const WHY_WORDS: Readonly<Record<number, string>> = {
  [Why.tenant]: 'tenant is gone', [Why.pool]: "outside address is not in the tenant's pool any more", [Why.mapping]: 'static mappings changed',
  [Why.block]: 'outside port is not in a block of the inside address any more', [Why.record]: 'nobody has the inside address any more',
  [Why.route]: 'no route that way any more', [Why.acl]: 'an ACL entry denies it', [Why.state]: 'no stateful ACL entry allows it any more',
  [Why.filtering]: 'filtered: the remote end opened it, and has not been sent to',
};

const NOTES = 2048;
const NOTE_WORDS = 16;
const HEAD = 0;
const HEADER_WORDS = 16;
/** Reads in a row after which a note that somebody began is given up: he has died. */
const PATIENCE = 20;

export interface RevokedNote {
  readonly kind: number;
  readonly tenant: number;
  readonly ends: Ends;
  readonly why: number;
  readonly generation: number;
  readonly rule: number;
  /** Seconds. */
  readonly at: number;
  readonly outside: number;
  readonly outsidePort: number;
}

export function makeRevokedMemory(): SharedArrayBuffer {
  return new SharedArrayBuffer((HEADER_WORDS + NOTES * NOTE_WORDS) * 4);
}

export class Revoked {
  readonly #w: Int32Array;
  /** For the reader: notes read, and how often the next one has been waited for. */
  #read = 0;
  #waits = 0;

  constructor(memory: SharedArrayBuffer) {
    this.#w = new Int32Array(memory);
  }

  note(kind: number, tenant: number, ends: Ends, why: number, generation: number, rule: number, at: number, outside = 0, outsidePort = 0): void {
    const w = this.#w, number = Atomics.add(w, HEAD, 1);
    const note = HEADER_WORDS + (number & NOTES - 1) * NOTE_WORDS;
    Atomics.store(w, note, 0);
    w[note + 1] = tenant << 16 | ends.protocol << 8 | kind;
    w[note + 2] = ends.local0; w[note + 3] = ends.local1; w[note + 4] = ends.local2; w[note + 5] = ends.local3;
    w[note + 6] = ends.remote0; w[note + 7] = ends.remote1; w[note + 8] = ends.remote2; w[note + 9] = ends.remote3;
    w[note + 10] = ends.localPort << 16 | ends.remotePort;
    w[note + 11] = why << 8 | generation & 0xff;
    w[note + 12] = rule;
    w[note + 13] = at;
    w[note + 14] = outside;
    w[note + 15] = outsidePort;
    Atomics.store(w, note, number + 1);
  }

  /** What has been written since the last call, oldest first, and how many notes were lost. One reader only. */
  take(): { notes: RevokedNote[]; lost: number } {
    const w = this.#w, head = Atomics.load(w, HEAD);
    const notes: RevokedNote[] = [];
    let lost = 0;
    if ((head - this.#read | 0) > NOTES) {
      lost = (head - this.#read | 0) - NOTES;
      this.#read = head - NOTES;
    }
    for (; this.#read !== head; this.#read = this.#read + 1 | 0) {
      const note = HEADER_WORDS + (this.#read & NOTES - 1) * NOTE_WORDS, wanted = this.#read + 1 | 0;
      const words = w.slice(note, note + NOTE_WORDS), number = Atomics.load(w, note);
      if (words[0] === wanted && number === wanted) notes.push(noteOf(words));
      else if ((number - wanted | 0) > 0) lost++; // written over meanwhile
      else if (++this.#waits < PATIENCE) return { notes, lost };
      else lost++;
      this.#waits = 0;
    }
    return { notes, lost };
  }
}

function noteOf(w: Int32Array): RevokedNote {
  return {
    kind: w[1] & 0xff, tenant: w[1] >>> 16,
    ends: {
      protocol: w[1] >>> 8 & 0xff, localPort: w[10] >>> 16, remotePort: w[10] & 0xffff, adapter: 0,
      local0: w[2], local1: w[3], local2: w[4], local3: w[5], remote0: w[6], remote1: w[7], remote2: w[8], remote3: w[9],
    },
    why: w[11] >>> 8, generation: w[11] & 0xff, rule: w[12], at: w[13] >>> 0, outside: w[14] >>> 0, outsidePort: w[15],
  };
}
