/** The demo's network: Red and Blue, alike down to the last address, on one loopback interface. */

/** UDP ports of the cast on 127.0.0.1. */
export interface CastPorts {
  readonly hostA: number;
  readonly hostB: number;
  readonly inet: number;
  readonly core: number;
  readonly hq: number;
}

export const GATEWAY_MAC = '02:00:00:00:00:01';
export const INTERNET_SERVER = '198.51.100.7';
export const PHYSICAL_SERVER = '172.16.0.9';
export const OFFICE_SERVER = '192.168.50.10';

/** The config file the daemon is started with; it takes free ports for itself. */
export function demoConfig(ports: CastPorts, adminSocket: string): string {
  const pa = (port: number): string => JSON.stringify(`127.0.0.1:${port}`);
  return `// Written by "causeway demo". Everybody is 127.0.0.1 and is told apart by port.
{
  "gateway": {
    "name": "demo", "listen": "127.0.0.1", "grePort": 0, "vxlanPort": 0,
    "workers": 2, "rss": { "mode": "dispatcher" },
    "metrics": "127.0.0.1:0", "admin": { "socket": ${JSON.stringify(adminSocket)} },
    "limits": { "sessions": 1024, "bindings": 1024 },
  },
  "hosts": [
    { "name": "host-a", "pa": ${pa(ports.hostA)}, "encap": "nvgre" },
    { "name": "host-b", "pa": ${pa(ports.hostB)}, "encap": "vxlan" },
  ],
  "uplinks": [
    { "name": "inet", "pa": ${pa(ports.inet)} },
    { "name": "core", "pa": ${pa(ports.core)} },
  ],
  "tenants": [
    {
      "name": "red", "rdid": "6f1c2a70-51d5-4f0e-9a53-2b1d4c7e8f01",
      "subnets": [
        { "vsid": 5001, "name": "red-web", "prefix": "10.0.0.0/24" },
        { "vsid": 5002, "name": "red-db", "prefix": "10.0.1.0/24" },
      ],
      "records": [
        { "ca": "10.0.0.5", "mac": "00:15:5d:00:01:05", "host": "host-a" },
        { "ca": "10.0.0.6", "mac": "00:15:5d:00:01:06", "host": "host-b" },
        { "ca": "10.0.1.7", "mac": "00:15:5d:00:01:07", "host": "host-b" },
      ],
      "routes": [
        { "prefix": "0.0.0.0/0", "via": "nat" },
        { "prefix": "172.16.0.0/12", "via": "forward" },
        { "prefix": "192.168.50.0/24", "via": "site:hq" },
      ],
      "nat": {
        "uplink": "inet", "pool": ["203.0.113.10"],
        "mappings": [{ "proto": "udp", "external": "203.0.113.10:53", "internal": "10.0.0.5:5353" }],
      },
      "forward": { "uplink": "core", "key": 7001 },
      "sites": [{ "name": "hq", "pa": ${pa(ports.hq)}, "key": 9001, "prefixes": ["192.168.50.0/24"] }],
      "acls": [{ "name": "no-ssh", "weight": 10, "action": "deny", "direction": "inbound", "protocol": "tcp", "localPort": 22 }],
    },
    {
      "name": "blue", "rdid": "b10e5a1d-0c3f-4c8e-8d27-93f1e6a4c002",
      "subnets": [{ "vsid": 6001, "name": "blue-web", "prefix": "10.0.0.0/24" }],
      "records": [
        { "ca": "10.0.0.5", "mac": "00:15:5d:00:02:05", "host": "host-a" },
        { "ca": "10.0.0.6", "mac": "00:15:5d:00:02:06", "host": "host-b" },
      ],
      "routes": [
        { "prefix": "0.0.0.0/0", "via": "nat" },
        { "prefix": "192.168.0.0/16", "via": "drop" },
      ],
      "nat": { "uplink": "inet", "pool": ["203.0.113.20"] },
    },
  ],
}
`;
}
