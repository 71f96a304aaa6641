/** Copies of captures with a field changed, made in memory: the files stay as they are. */
import { putU16, putU32, u32 } from '../../codecs/bytes.js';
import { CaptureReader, CaptureRecord } from '../../codecs/capture.js';
import { LinkView, parseLink } from '../../codecs/link.js';
import { UnderlayView, parseUnderlay } from '../../codecs/underlay.js';
import { GRE_UDP_PORT } from '../../codecs/gre-udp.js';
import { VXLAN_PORT } from '../../codecs/vxlan.js';

const UDP_CHECKSUM = -2; // from the first payload byte

/** The capture with VNI `was` changed to `is` in the outermost VXLAN header; the outer UDP checksum goes, which VXLAN allows. */
export function withVni(file: Uint8Array, was: number, is: number): Uint8Array {
  const copy = file.slice();
  const reader = new CaptureReader();
  const record = new CaptureRecord();
  const link = new LinkView();
  const outer = new UnderlayView();
  reader.push(copy); // one chunk, so that records lie in it
  reader.end();
  while (reader.next(record) === 'record') {
    if (parseLink(record.mem, record.at, record.end, record.linkType, link) !== 0) continue;
    if (parseUnderlay(record.mem, link.networkAt, record.end, link.etherType, GRE_UDP_PORT, VXLAN_PORT, outer) !== 0) continue;
    if (!outer.isVxlan || outer.end - outer.at < 8 || u32(record.mem, outer.at + 4) >>> 8 !== was) continue;
    putU32(record.mem, outer.at + 4, is << 8);
    putU16(record.mem, outer.at + UDP_CHECKSUM, 0);
  }
  return copy;
}
