/** The output of a replay, packet by packet, as pcap or pcapng. Pieces wait in `take` for whoever writes them. */
import type { CaptureRecord } from '../../codecs/capture.js';
import { LinkType } from '../../codecs/link.js';
import { PcapWriter } from '../../codecs/pcap.js';
import { PcapngWriter } from '../../codecs/pcapng.js';
import type { Departure } from './offline.js';

export interface Scribe {
  /** Whether comments are kept, and inputs. */
  readonly wantsComments: boolean;
  readonly wantsInputs: boolean;
  /** The record as it came. */
  input(record: CaptureRecord, timeNs: bigint, comment: string): void;
  /** A frame that would have been sent on account of packet `number`. */
  output(departure: Departure, number: number, timeNs: bigint, comment: string): void;
  /** What was written since the last call. */
  take(): Uint8Array[];
}

/** Nanosecond pcap, which has no place for comments. */
export function pcapScribe(): Scribe {
  const writer = new PcapWriter();
  let pieces = [writer.header(LinkType.ethernet)];
  return {
    wantsComments: false,
    wantsInputs: false,
    input() {},
    output({ mem, at }, _number, timeNs) {
      pieces.push(writer.record(mem, at, mem.length, timeNs));
    },
    take() {
      const taken = pieces;
      pieces = [];
      return taken;
    },
  };
}

/**
 * pcapng: interface 0 is the gateway's, with what it sends; with `all`, further interfaces hold the inputs, one for
 * each link type among them. A packet id shows which packets belong together.
 */
export function pcapngScribe(all: boolean): Scribe {
  const writer = new PcapngWriter();
  let pieces = [
    writer.sectionHeader({ userAppl: 'causeway replay' }),
    writer.interface({ name: 'gateway', description: 'what the gateway sends', linkType: LinkType.ethernet }),
  ];
  const inputs = new Map<number, number>();
  const inputOf = (linkType: number): number => {
    const known = inputs.get(linkType);
    if (known !== undefined) return known;
    const id = inputs.size + 1;
    pieces.push(writer.interface({ name: id === 1 ? 'input' : `input-${id}`, description: 'what the capture holds', linkType }));
    inputs.set(linkType, id);
    return id;
  };
  return {
    wantsComments: true,
    wantsInputs: all,
    input(record, timeNs, comment) {
      const interfaceId = inputOf(record.linkType);
      const { mem, at, end, originalLen } = record;
      pieces.push(writer.enhancedPacket({ interfaceId, timeNs, mem, at, end, originalLen, comments: [comment], flags: { direction: 'in' }, packetId: record.number }));
    },
    output({ mem, at }, number, timeNs, comment) {
      pieces.push(writer.enhancedPacket({ interfaceId: 0, timeNs, mem, at, end: mem.length, comments: [comment], flags: { direction: 'out' }, packetId: number }));
    },
    take() {
      const taken = pieces;
      pieces = [];
      return taken;
    },
  };
}
