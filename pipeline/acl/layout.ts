/**
 * How lists of entries are laid out for look-ups: what the builder writes and the classifier reads.
 *
 * A list is a run of entries that are asked in their order: a tenant has four (`List`). A short one is simply scanned. Of a
 * long one every field is an **axis**: its values, in order, are cut into at most some hundred segments, and each segment has
 * a **row**, a bit for every entry of the list that some value of the segment can match. A look-up finds the packet's segment on each
 * axis, and the entries with a bit in all rows are the candidates, few enough to be asked one by one, first bit first.
 *
 *   asks    a tenant  which of its lists have entries (bit n: list n), and whether any entry asks for MACs or subnets
 *   lists   a list    first entry | end | its plan, or 0
 *   plans   a plan    words a row | words of the summary | axes     then for each axis
 *                     kind | two ranges of values (IPv4, IPv6; with ports, without) of  cuts at | cuts | first row at
 *   cuts    ascending lower ends of segments, the first segment's left out; words biased so that they compare as signed
 *   bits    a row     summary: a bit for each word behind it that is not zero | a bit for each entry
 *
 * How few the candidates are does not depend on luck: between two cuts of an axis begin and end no more than 2 n / segments
 * of its n entries, and only those can have a bit on this axis and yet not match there.
 */
export const List = { outbound: 0, inbound: 1, outboundMeters: 2, inboundMeters: 3 } as const;
export const LISTS = 4;
/** In `asks`, beside a bit for each list. */
export const ASKS_ADAPTERS = 1 << LISTS;
export const LIST_WORDS = 3;
export const L_FIRST = 0, L_END = 1, L_PLAN = 2;

export const PLAN_WORDS = 3;
export const P_WORDS = 0, P_SUMMARY = 1, P_AXES = 2;

export const Axis = { local: 0, remote: 1, localPort: 2, remotePort: 3, protocol: 4, localMac: 5, remoteMac: 6, localSubnet: 7 } as const;
export const AXES = 8;
export const AXIS_WORDS = 7;
/** The first range of values; the second one follows. */
export const A_KIND = 0, A_RANGE = 1, RANGE_WORDS = 3;
export const R_CUTS = 0, R_COUNT = 1, R_ROWS = 2;

/** Makes unsigned words compare as signed ones. */
export const BIAS = 0x80000000 | 0;

/** What crosses threads. */
export interface AclData {
  readonly asks: Int32Array;
  readonly lists: Int32Array;
  readonly plans: Int32Array;
  readonly cuts: Int32Array;
  readonly bits: Int32Array;
}
