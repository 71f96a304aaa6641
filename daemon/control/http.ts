/** The daemon's two small HTTP servers: GET only, a fixed set of paths, JSON unless an answer says otherwise. */
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { Logger } from './log.js';
import { BadQuestion } from './status.js';

export interface Answer { readonly status: number; readonly type: string; readonly body: string }
export type Route = (query: URLSearchParams) => Answer | Promise<Answer>;

export function jsonAnswer(body: unknown, status = 200): Answer {
  return { status, type: 'application/json; charset=utf-8', body: `${JSON.stringify(body, null, 2)}\n` };
}

export function makeServer(routes: Readonly<Record<string, Route>>, log: Logger): Server {
  async function answer(method: string | undefined, target: string): Promise<Answer> {
    const { pathname, searchParams } = new URL(target, 'http://causeway');
    if (!Object.hasOwn(routes, pathname)) return jsonAnswer({ error: `nothing at ${pathname}`, paths: Object.keys(routes) }, 404);
    if (method !== 'GET') return jsonAnswer({ error: 'GET only' }, 405);
    return routes[pathname](searchParams);
  }

  return createServer((asked, answered) => {
    asked.resume();
    answer(asked.method, asked.url ?? '/').catch((error: unknown) => {
      if (error instanceof BadQuestion) return jsonAnswer({ error: error.message }, 400);
      if (error instanceof TypeError && (error as NodeJS.ErrnoException).code === 'ERR_INVALID_URL') return jsonAnswer({ error: 'no such address' }, 400);
      log.error({ path: asked.url, error: error instanceof Error ? error.stack : String(error) }, 'fault in an answer');
      return jsonAnswer({ error: 'a fault in causeway; the log has it' }, 500);
    }).then(({ status, type, body }) => reply(answered, status, type, body));
  });
}

function reply(answered: ServerResponse, status: number, type: string, body: string): void {
  answered.writeHead(status, { 'content-type': type, 'content-length': Buffer.byteLength(body), 'cache-control': 'no-store', ...(status === 405 && { allow: 'GET' }) });
  answered.end(body);
}

/** Close, whoever is still connected. */
export function closeServer(server: Server): Promise<void> {
  return new Promise(resolve => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}
