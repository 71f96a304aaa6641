/**
 * STUN as far as the NAT probe needs it: binding requests, indications and answers (RFC 8489 §5, §14), with the attributes of NAT
 * behaviour discovery (RFC 5780 §7). Client and server of one message each; no integrity, no fingerprint, IPv4 alone.
 *
 *   |0 0|  type, 14 bits  |  length of what follows these 20 bytes  |
 *   |                  magic cookie, 2112a442                       |
 *   |                  transaction id, 12 bytes                     |
 *   |  attribute type, u16  |  its length, u16  |  value, padded to 4
 */
import { u16, u32 } from '../../../codecs/bytes.js';

/** An address and a UDP port. */
export interface End { readonly address: string; readonly port: number }

export interface Request {
  readonly type: 'request' | 'indication';
  /** Transaction id, 24 hex digits. */
  readonly id: string;
  /** Answer from the other address, the other port, or both. */
  readonly changeAddress: boolean;
  readonly changePort: boolean;
  /** Answer to this port of the asker's, rather than the one it asked from; 0 for that one. */
  readonly responsePort: number;
  /** Bytes of padding, which the answer will have too. */
  readonly padding: number;
}

export interface Answer {
  readonly type: 'answer';
  readonly id: string;
  /** Where the server saw the request come from, said twice: as it is, which a meddling NAT may change on the way, and masked. */
  readonly plain: End;
  readonly mapped: End;
  /** Where the answer is sent from, and the address and port that a change would lead to. */
  readonly origin: End;
  readonly other: End;
  readonly padding: number;
}

const HEADER_LEN = 20;
const COOKIE = 0x2112a442;
const TYPES = { request: 0x0001, indication: 0x0011, answer: 0x0101 } as const;
const Attribute = { mapped: 0x0001, changeRequest: 0x0003, xorMapped: 0x0020, padding: 0x0026, responsePort: 0x0027, origin: 0x802b, other: 0x802c } as const;
const CHANGE_ADDRESS = 0x04, CHANGE_PORT = 0x02;
const IPV4 = 0x01;

export function sameEnd(a: End, b: End): boolean {
  return a.address === b.address && a.port === b.port;
}
export function endWords({ address, port }: End): string {
  return `${address}:${port}`;
}

export function writeRequest(request: Request): Uint8Array {
  const flags = (request.changeAddress ? CHANGE_ADDRESS : 0) | (request.changePort ? CHANGE_PORT : 0);
  return message(request.type, request.id, [
    ...flags === 0 ? [] : [attribute(Attribute.changeRequest, words(flags))],
    ...request.responsePort === 0 ? [] : [attribute(Attribute.responsePort, words(request.responsePort << 16 >>> 0))],
    ...request.padding === 0 ? [] : [attribute(Attribute.padding, Buffer.alloc(request.padding))],
  ]);
}

export function writeAnswer(answer: Answer): Uint8Array {
  return message('answer', answer.id, [
    attribute(Attribute.mapped, endBytes(answer.plain, 0)),
    attribute(Attribute.xorMapped, endBytes(answer.mapped, COOKIE)),
    attribute(Attribute.origin, endBytes(answer.origin, 0)),
    attribute(Attribute.other, endBytes(answer.other, 0)),
    ...answer.padding === 0 ? [] : [attribute(Attribute.padding, Buffer.alloc(answer.padding))],
  ]);
}

/** The message that these bytes are, or null. */
export function readStun(mem: Uint8Array): Request | Answer | null {
  if (mem.length < HEADER_LEN || u32(mem, 4) !== COOKIE || u16(mem, 2) !== mem.length - HEADER_LEN) return null;
  const type = (Object.keys(TYPES) as (keyof typeof TYPES)[]).find(name => TYPES[name] === u16(mem, 0));
  const id = Buffer.from(mem.subarray(8, HEADER_LEN)).toString('hex');
  const found = new Map<number, Uint8Array>();
  for (let at = HEADER_LEN; at + 4 <= mem.length;) {
    const end = at + 4 + u16(mem, at + 2);
    if (end > mem.length) return null;
    found.set(u16(mem, at), mem.subarray(at + 4, end));
    at = end + 3 & ~3;
  }
  const padding = found.get(Attribute.padding)?.length ?? 0;
  if (type === 'answer') {
    const [plain, mapped, origin, other] = [[Attribute.mapped, 0], [Attribute.xorMapped, COOKIE], [Attribute.origin, 0], [Attribute.other, 0]].map(([name, mask]) => endOf(found.get(name), mask));
    return plain && mapped && origin && other ? { type, id, plain, mapped, origin, other, padding } : null;
  }
  if (type === undefined) return null;
  const flags = found.get(Attribute.changeRequest), port = found.get(Attribute.responsePort);
  const change = flags?.length === 4 ? u32(flags, 0) : 0;
  return {
    type, id, padding, changeAddress: (change & CHANGE_ADDRESS) !== 0, changePort: (change & CHANGE_PORT) !== 0,
    responsePort: port === undefined || port.length < 2 ? 0 : u16(port, 0),
  };
}

/** Two addresses and two ports of one server: every combination is an end of its own. */
export interface Server { readonly addresses: readonly [string, string]; readonly ports: readonly [number, number] }

/** What the server does about a datagram: the answer and its way, or null (RFC 5780 §6.1). */
export function serve({ addresses, ports }: Server, from: End, to: End, mem: Uint8Array): { from: End; to: End; answer: Uint8Array } | null {
  const request = readStun(mem);
  const address = addresses.indexOf(to.address), port = ports.indexOf(to.port);
  if (request === null || request.type !== 'request' || address < 0 || port < 0) return null;
  const origin = { address: addresses[request.changeAddress ? 1 - address : address], port: ports[request.changePort ? 1 - port : port] };
  const answer = writeAnswer({ type: 'answer', id: request.id, plain: from, mapped: from, origin, other: { address: addresses[1 - address], port: ports[1 - port] }, padding: request.padding });
  return { from: origin, to: { address: from.address, port: request.responsePort === 0 ? from.port : request.responsePort }, answer };
}

function message(type: keyof typeof TYPES, id: string, attributes: readonly Buffer[]): Uint8Array {
  const body = Buffer.concat(attributes);
  const header = Buffer.alloc(8);
  header.writeUInt16BE(TYPES[type]);
  header.writeUInt16BE(body.length, 2);
  header.writeUInt32BE(COOKIE, 4);
  return Buffer.concat([header, Buffer.from(id, 'hex'), body]);
}

function attribute(type: number, value: Uint8Array): Buffer {
  const out = Buffer.alloc(4 + (value.length + 3 & ~3));
  out.writeUInt16BE(type);
  out.writeUInt16BE(value.length, 2);
  out.set(value, 4);
  return out;
}

function words(value: number): Buffer {
  const out = Buffer.alloc(4);
  out.writeUInt32BE(value);
  return out;
}

/** |0|family|port|address|, port and address masked with the cookie where the attribute says XOR. */
function endBytes({ address, port }: End, mask: number): Buffer {
  const out = Buffer.alloc(8);
  out[1] = IPV4;
  out.writeUInt16BE(port ^ mask >>> 16, 2);
  out.writeUInt32BE((u32(Uint8Array.from(address.split('.'), Number), 0) ^ mask) >>> 0, 4);
  return out;
}

function endOf(value: Uint8Array | undefined, mask: number): End | null {
  if (value === undefined || value.length !== 8 || value[1] !== IPV4) return null;
  const address = (u32(value, 4) ^ mask) >>> 0;
  return { address: [24, 16, 8, 0].map(shift => address >>> shift & 255).join('.'), port: u16(value, 2) ^ mask >>> 16 };
}
