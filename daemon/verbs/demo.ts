/**
 * `causeway demo`: the Red and Blue story on loopback. The daemon is the real one, a process of its own; the cast are
 * UDP sockets here. Every line printed is something that was sent, came out, and was looked at.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readArgs } from '../cli/args.js';
import { Exit, type Io, type Verb } from '../cli/cli.js';
import { Player, serverBehindGre, type Vm } from '../demo/cast.js';
import { INTERNET_SERVER, OFFICE_SERVER, PHYSICAL_SERVER, demoConfig } from '../demo/config.js';
import { RunningDaemon } from '../demo/daemon.js';
import { STORY, type Cast, type Daemon } from '../demo/story.js';
import { renderSummary } from '../demo/summary.js';

const FLAGS = { keep: { type: 'boolean' } } as const;

export const verb: Verb = {
  summary: 'the Red and Blue story on loopback, with real datagrams',
  help: `Usage: causeway demo [--keep]

Starts the daemon on free loopback ports with a built-in config: two tenants, Red and Blue, with the same network, the
same addresses and the same two hosts. Plays the hosts, an Internet server, a physical router and Red's office as UDP
sockets, sends real NVGRE, VXLAN and GRE datagrams through the gateway, and checks what comes out. Ends by itself.

  --keep    leave the config that was used, and say where it is

Exit codes: 0 all scenes went well and the ledger balances, 1 something did not, 2 usage.
`,
  main,
};

const PICTURE = `
  Causeway: two tenants, the same addresses, one gateway

    red  10.0.0.5 ┐                                           ┌─ inet  the Internet      Red 203.0.113.10, Blue .20
    blue 10.0.0.5 ┴─ host-a, NVGRE ─┐                         │
                                    ├─ the gateway's daemon ──┼─ core  physical network  Red by GRE key 7001
    red  10.0.0.6 ┬─ host-b, VXLAN ─┘                         │
    blue 10.0.0.6 ┘                                           └─ hq    Red's office      GRE key 9001

`;

async function main(args: readonly string[], io: Io): Promise<number> {
  const { values } = readArgs(args, FLAGS, 0);
  const startedAt = performance.now();
  const folder = await mkdtemp(join(tmpdir(), 'causeway-demo-'));
  const players = {
    hostA: new Player('host-a'), hostB: new Player('host-b'), inet: new Player('inet'), core: new Player('core'), hq: new Player('hq'),
  };
  let daemon: RunningDaemon | undefined;
  try {
    const [hostA, hostB, inet, core, hq] = await Promise.all(Object.values(players).map(player => player.bind()));
    const configFile = join(folder, 'demo.jsonc');
    await writeFile(configFile, demoConfig({ hostA, hostB, inet, core, hq }, join(folder, 'admin.sock')));
    daemon = await RunningDaemon.start(configFile, join(folder, 'admin.sock'));
    for (const player of Object.values(players)) player.speakTo(player === players.hostB ? daemon.vxlanPort : daemon.grePort);

    io.out(PICTURE);
    const failed = await play(castOf(players), daemonFor(daemon, Object.values(players)), io);
    const { text, balanced } = await renderSummary(daemon);
    io.out(text);
    const code = await daemon.stop();
    const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
    const good = failed === 0 && balanced && code === 0;
    io.out(`\n  ${STORY.length - failed} of ${STORY.length} scenes went well, the ledger ${balanced ? 'balances' : 'does not balance'}, the daemon `
      + `${code === 0 ? 'drained and exited 0' : `exited ${code}`}; ${seconds} s\n`);
    return good ? Exit.ok : Exit.failure;
  } catch (error) {
    io.err(`demo: ${error instanceof Error ? error.message : String(error)}\n${daemon?.lastWords() ?? ''}`);
    return Exit.failure;
  } finally {
    daemon?.kill();
    for (const player of Object.values(players)) player.close();
    if (values.keep) io.out(`  the config is in ${folder}\n`);
    else await rm(folder, { recursive: true, force: true });
  }
}

type Players = Record<'hostA' | 'hostB' | 'inet' | 'core' | 'hq', Player>;

/** Give the players their parts. */
function castOf(players: Players): Cast {
  const vm = (tenant: string, vsid: number, ca: string, mac: string, on: 'a' | 'b'): Vm =>
    ({ tenant, vsid, ca, mac, host: on === 'a' ? players.hostA : players.hostB, encap: on === 'a' ? 'nvgre' : 'vxlan' });
  players.inet.respond = serverBehindGre('inet', INTERNET_SERVER);
  players.core.respond = serverBehindGre('core', PHYSICAL_SERVER);
  players.hq.respond = serverBehindGre('hq', OFFICE_SERVER);
  return {
    ...players,
    red5: vm('red', 5001, '10.0.0.5', '00:15:5d:00:01:05', 'a'),
    red6: vm('red', 5001, '10.0.0.6', '00:15:5d:00:01:06', 'b'),
    red7: vm('red', 5002, '10.0.1.7', '00:15:5d:00:01:07', 'b'),
    blue5: vm('blue', 6001, '10.0.0.5', '00:15:5d:00:02:05', 'a'),
    blue6: vm('blue', 6001, '10.0.0.6', '00:15:5d:00:02:06', 'b'),
  };
}

/** What the scenes may ask: the daemon has settled when it has counted every datagram the cast has sent. */
function daemonFor(daemon: RunningDaemon, players: readonly Player[]): Daemon {
  return {
    settled: () => daemon.received(() => players.reduce((sum, player) => sum + player.sent, 0)),
    drops: tenant => daemon.drops(tenant),
  };
}

/** Play every scene; says how many failed. */
async function play(cast: Cast, daemon: Daemon, io: Io): Promise<number> {
  let failed = 0;
  for (const scene of STORY) {
    try {
      io.out(`  ✓ ${scene.title}\n      ${await scene.play(cast, daemon)}\n`);
    } catch (error) {
      failed++;
      io.out(`  ✗ ${scene.title}\n      ${error instanceof Error ? error.message : String(error)}\n`);
    }
  }
  return failed;
}
