/** Where the daemon can be asked: /metrics and /healthz over TCP, the admin API on a unix socket. */
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { adminRoutes } from './admin.js';
import { chooseSocket, claimSocket } from './admin-socket.js';
import type { Control } from './control.js';
import { closeServer, jsonAnswer, makeServer, type Route } from './http.js';
import { makeMetrics } from './metrics.js';
import { ailmentsOf } from './status.js';

/** Open both, as the config says. Rejects with a sentence when one is not to be had. */
export async function openEndpoints(control: Control): Promise<{ close(): Promise<void> }> {
  const { gateway } = control;
  const servers: Server[] = [];
  const close = async (): Promise<void> => { await Promise.all(servers.map(closeServer)); };
  try {
    const admin = makeServer(adminRoutes(control), control.log);
    const path = gateway.admin.socket ?? chooseSocket();
    await claimSocket(admin, path);
    servers.push(admin);
    control.endpoints.admin = { socket: path };
    if (gateway.metrics !== null) {
      const metrics = makeServer(metricsRoutes(control), control.log);
      const { listen, port } = gateway.metrics;
      await listenTcp(metrics, listen.text, port);
      servers.push(metrics);
      control.endpoints.metrics = { address: listen.text, port: (metrics.address() as AddressInfo).port };
    }
  } catch (error) {
    await close();
    throw error;
  }
  return { close };
}

function metricsRoutes(control: Control): Record<string, Route> {
  const metrics = makeMetrics(control);
  return {
    '/metrics': async () => ({ status: 200, type: metrics.contentType, body: await metrics.scrape() }),
    '/healthz': async () => {
      const ailments = await ailmentsOf(control);
      const well = ailments.length === 0;
      const { up, size } = control.crew;
      return jsonAnswer({ status: well ? 'ok' : 'failing', ailments, workers: { up, size }, generation: control.generation }, well ? 200 : 503);
    },
  };
}

function listenTcp(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', error => reject(new Error(`metrics on ${host} port ${port}: ${error.message}`)));
    server.listen(port, host, () => resolve());
  });
}
