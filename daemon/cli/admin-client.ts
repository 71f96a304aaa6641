/** The admin API from the other side: one GET over the daemon's unix socket. */
import { request } from 'node:http';
import { json } from 'node:stream/consumers';

/** Nobody answers there; the message says which socket, and why. */
export class Unreachable extends Error {}

const ANSWER_WITHIN_MS = 10_000;
const WHY: Record<string, string> = {
  ENOENT: 'there is no such socket', ECONNREFUSED: 'nobody listens on it', EACCES: 'permission denied', ENOTSOCK: 'it is no socket', ETIMEDOUT: 'no answer',
};

/** GET `path`, for instance `/v1/status`, of the daemon whose admin socket this is. Throws `Unreachable`; `Error` for an answer that is not 200. */
export async function getJson<T>(socket: string, path: string): Promise<T> {
  const { status, body } = await new Promise<{ status: number; body: unknown }>((resolve, reject) => {
    const asked = request({ socketPath: socket, path, timeout: ANSWER_WITHIN_MS }, answer => {
      json(answer).then(body => resolve({ status: answer.statusCode ?? 0, body }), reject);
    });
    asked.on('timeout', () => asked.destroy(Object.assign(new Error('no answer'), { code: 'ETIMEDOUT' })));
    asked.on('error', (error: NodeJS.ErrnoException) => reject(new Unreachable(`no daemon answers on ${socket}: ${WHY[error.code ?? ''] ?? error.message}`)));
    asked.end();
  });
  if (status !== 200) throw new Error((body as { error?: string }).error ?? `the daemon answered ${status}`);
  return body as T;
}
