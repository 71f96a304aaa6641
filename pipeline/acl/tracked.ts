/** A side of the packet in hand whose connection has yet to be seen to: what the ACL has decided, and `track` carries out. */
import type { Ends } from '../tables/connections.js';

/** Bits of `Packet.tracks`: the sides that have a connection, and whether it takes a look at each of their packets. */
export const Tracks = { out: 1, in: 2, closely: 4 } as const;

export class Tracked implements Ends {
  protocol = 0;
  localPort = 0;
  remotePort = 0;
  adapter = 0;
  local0 = 0; local1 = 0; local2 = 0; local3 = 0;
  remote0 = 0; remote1 = 0; remote2 = 0; remote3 = 0;
  query = 0;
  /** The stateful entry by which it may be opened; -1 where it is there already. */
  rule = -1;
  /** If it is to be opened: in what state, and from which end. */
  state = 0;
  isOutbound = false;

  take(ends: Ends, query: number): void {
    this.protocol = ends.protocol;
    this.localPort = ends.localPort;
    this.remotePort = ends.remotePort;
    this.adapter = ends.adapter;
    this.local0 = ends.local0; this.local1 = ends.local1; this.local2 = ends.local2; this.local3 = ends.local3;
    this.remote0 = ends.remote0; this.remote1 = ends.remote1; this.remote2 = ends.remote2; this.remote3 = ends.remote3;
    this.query = query;
  }
}
