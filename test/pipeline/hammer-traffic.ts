/** What the hammer's threads and control tell each other, and what the threads send: templates made once, whose payload says which flow they are of. */
import type { SharedState } from '../../pipeline/gateway.js';
import type { PolicyData } from '../../pipeline/policy.js';
import type { Datagram } from '../support/datagrams.js';
import { hostDatagram, uplinkDatagram, vmDatagram } from '../support/datagrams.js';
import { cut4, echo, ethernet, ip4, tcp, udp } from '../support/frames.js';
import { BLUE_NAT_KEY, BLUE_POOL, GATEWAY_MAC, RED_POOL, makeConfig, vm, type HostName, type WorldConfig } from '../support/world.js';

/** Words that threads and control share. */
export const Word = { go: 0, seconds: 1, policy: 2, stop: 3, adopted: 8 } as const;
export const FIRST_NOW = 1_700_000_000;

export interface HammerStart {
  readonly state: SharedState;
  readonly worker: number;
  readonly policies: readonly PolicyData[];
  readonly words: SharedArrayBuffer;
  readonly seed: number;
  /** `firsts`: every flow once, in an order of its own, then again; `chaos`: until told to stop. */
  readonly work: 'firsts' | 'chaos';
}
export interface HammerReport {
  readonly worker: number;
  readonly packets: number;
  readonly fast: number;
  readonly fates: Record<string, number>;
  readonly wrong: readonly string[];
  /** Outside ends by inside end, as they left. */
  readonly outside: Record<string, string[]>;
  readonly ledgerIn: number;
}

/** `pa` is an IPv4 address as a number. */
export interface Template { readonly pa: number; readonly carrier: 'gre' | 'vxlan'; readonly bytes: Uint8Array }
export interface Identity { way: '?' | 'out' | 'in' | 'plain'; tenant: number; inside: number; insidePort: number; remote: number; remotePort: number }

const SYN = 2, ACK = 16, FIN = 1, RST = 4;
/** Hosts with an IPv4 PA and no port, one of each overlay. */
const HOSTS: readonly HostName[] = ['nv4', 'vx4'];
const TENANTS = ['red', 'blue'] as const;
const REMOTES = ['198.51.100.7', '198.51.100.8', '198.51.100.9', '198.51.100.10'];
const NEW_BLUE_POOL = '203.0.113.24';

export const LIMITS = { tenants: 4, sessions: 160, bindings: 96, fragments: 12, heldFragments: 6 };

/** `variant` 1 forbids what 0 allows: another pool, a remote end no longer behind NAT, a mapping that leads elsewhere, a VM that is gone. */
export function hammerConfig(variant: number, limits = LIMITS): WorldConfig {
  return makeConfig((config, red, blue) => {
    Object.assign(config.gateway.limits, limits);
    Object.assign(config.gateway.timers, { udp: 120, tcpTransitory: 120, portBlock: 60 });
    Object.assign(blue.nat ?? {}, { filtering: 'address-dependent', parity: true, blocks: { size: 64 + 64 * variant, perAddress: 3 } });
    Object.assign(red, { limits: { sessions: 150, newFlowsPerSecond: 100_000, perAddress: variant === 0 ? { sessions: 90, bindings: 30 } : {} } });
    // Blue's VMs have state on their side of every flow, by an entry that comes and goes in part.
    blue.acls = [
      { direction: 'outbound', action: 'allow', stateful: true, idleTimeout: 90, ...(variant === 0 ? {} : { remote: `${REMOTES[1]}/31` }) }, { direction: 'inbound', action: 'deny', remote: '198.51.100.0/24' },
    ];
    if (variant === 0) return;
    if (blue.nat) blue.nat.pool = [NEW_BLUE_POOL];
    red.routes.push({ prefix: `${REMOTES[3]}/32`, via: 'forward' });
    if (red.nat) red.nat.mappings = [{ proto: 'tcp', external: `${RED_POOL}:80`, internal: '10.0.0.12:8080' }, { proto: 'udp', external: `${RED_POOL}:39000`, internal: '10.0.0.12:5000' }];
    blue.records = blue.records.filter(record => record['ca'] !== vm('vx4', 'db').ca);
  });
}

/** Who may send what: pools by tenant in either variant, and the host that each inside address is on. */
export const addresses = {
  pools: [[ip4(RED_POOL)], [ip4(BLUE_POOL), ip4(NEW_BLUE_POOL)]],
  /** Reached by forwarding in every other policy, by red. */
  moved: ip4(REMOTES[3]),
  inside: new Map(HOSTS.flatMap((host, i) => (['web', 'db'] as const).map(subnet => [ip4(vm(host, subnet).ca), i] as const))),
};

function template({ pa, carrier, bytes }: Datagram): Template {
  return { pa: ip4(pa), carrier, bytes };
}

function payload(way: 1 | 2 | 3, tenant: number, inside: string, insidePort: number, remote: string, remotePort: number): Uint8Array {
  const bytes = new DataView(new ArrayBuffer(24));
  bytes.setUint8(0, way);
  bytes.setUint8(1, tenant);
  bytes.setUint32(2, ip4(inside));
  bytes.setUint16(6, insidePort);
  bytes.setUint32(8, ip4(remote));
  bytes.setUint16(12, remotePort);
  return new Uint8Array(bytes.buffer);
}

function outbound(tenant: number, host: HostName, subnet: 'web' | 'db', protocol: 'tcp' | 'udp', port: number, remote: string, remotePort: number, flags = SYN): Template {
  const from = vm(host, subnet, TENANTS[tenant]);
  const data = payload(1, tenant, from.ca, port, remote, remotePort);
  return template(vmDatagram(from, protocol === 'tcp' ? tcp(from.ca, port, remote, remotePort, flags, data) : udp(from.ca, port, remote, remotePort, data)));
}

/** 96 inside ends with three remote ends each: what all threads open at once. */
export function firsts(): Template[] {
  const all: Template[] = [];
  for (const tenant of [0, 1]) {
    for (const host of HOSTS) for (const subnet of ['web', 'db'] as const) for (const protocol of ['tcp', 'udp'] as const) {
      for (let port = 5000; port < 5006; port++) for (let i = 0; i < 3; i++) all.push(outbound(tenant, host, subnet, protocol, port, REMOTES[i], 443));
    }
  }
  return all;
}
export const FIRSTS = { bindings: 96, sessions: 288 } as const;

/** Everything: more flows than the tables hold, both ways, opened and closed, beside flows without sessions and fragments. */
export function chaos(): { out: Template[]; back: Template[] } {
  const all: Template[] = [], back: Template[] = [];
  for (const tenant of [0, 1]) {
    const key = tenant === 0 ? -1 : BLUE_NAT_KEY;
    for (const host of HOSTS) for (const subnet of ['web', 'db'] as const) {
      const from = vm(host, subnet, TENANTS[tenant]);
      for (let port = 5000; port < 5010; port++) for (const remote of REMOTES) {
        for (let times = 0; times < 4; times++) all.push(outbound(tenant, host, subnet, 'udp', port, remote, 443));
        for (const flags of [SYN, ACK, ACK, ACK, FIN | ACK, RST]) all.push(outbound(tenant, host, subnet, 'tcp', port, remote, 443, flags));
      }
      const other = vm('vx4', subnet === 'web' ? 'db' : 'web', TENANTS[tenant]);
      for (let port = 1; port < 9; port++) {
        all.push(template(vmDatagram(from, udp(from.ca, port, other.ca, 2, payload(3, tenant, from.ca, port, other.ca, 2)))));
        all.push(template(vmDatagram(from, udp(from.ca, port, '172.16.0.9', 2, payload(3, tenant, from.ca, port, '172.16.0.9', 2)))));
      }
      all.push(template(vmDatagram(from, echo(from.ca, REMOTES[0], 7))));
      for (const piece of cut4(udp(from.ca, 6000, REMOTES[0], 443, new Uint8Array(64)), 32, tenant)) all.push(template(vmDatagram(from, piece)));
      all.push(template(hostDatagram(host, from.vsid, ethernet(GATEWAY_MAC, from.mac, udp('10.0.0.99', 1, REMOTES[0], 2))))); // a spoof
    }
    for (const pool of tenant === 0 ? [RED_POOL] : [BLUE_POOL, NEW_BLUE_POOL]) {
      for (let i = 0; i < 24; i++) for (const remote of REMOTES) {
        const port = 39_000 + (i >> 2) - 256 * (i & 3); // of four neighbouring blocks
        const data = payload(2, tenant, pool, port, remote, 443);
        back.push(template(uplinkDatagram('inet', udp(remote, 443, pool, port, data), key)));
        for (const flags of [SYN | ACK, ACK, ACK, FIN | ACK, RST]) back.push(template(uplinkDatagram('inet', tcp(remote, 443, pool, port, flags, data), key)));
      }
    }
  }
  for (const remote of REMOTES) {
    back.push(template(uplinkDatagram('inet', tcp(remote, 443, RED_POOL, 80, SYN, payload(2, 0, RED_POOL, 80, remote, 443)))));
    back.push(template(uplinkDatagram('inet', udp(remote, 443, RED_POOL, 5353, payload(2, 0, RED_POOL, 5353, remote, 443)))));
  }
  return { out: all, back };
}
