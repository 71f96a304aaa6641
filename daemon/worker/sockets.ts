/** Datagram sockets, as both directions need them. */
import { createSocket, type Socket } from 'node:dgram';

/** Asking for less than this is no use; below it the error is the operator's to see. */
const LEAST_BUFFER = 65536;

/**
 * A socket that never looks a name up. Node's own look-up answers for a literal address in a later turn of the loop;
 * this one does at once, so that `send` reaches the kernel before it returns.
 */
export function makeSocket(family: 4 | 6): Socket {
  return createSocket({
    type: family === 4 ? 'udp4' : 'udp6', ipv6Only: family === 6,
    lookup: (host, _options, done) => done(null, host, family),
  });
}

const WHY: Readonly<Record<string, string>> = {
  EADDRINUSE: 'another program has it', EADDRNOTAVAIL: 'this machine has no such address', EACCES: 'ports below 1024 need privileges', EAFNOSUPPORT: 'this machine has no IPv6',
};

/** Bind; rejects with a sentence that keeps the system's code, the socket closed. */
export function bindSocket(socket: Socket, address: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const refused = (error: Error): void => {
      const code = errorCode(error);
      socket.close();
      // An address that is not to be had is so with every port, and this one may be of our own choosing.
      const what = code === 'EADDRNOTAVAIL' ? address : `${address} port ${port}`;
      reject(Object.assign(new Error(`cannot bind ${what}: ${WHY[code] ?? error.message} (${code})`), { code }));
    };
    socket.once('error', refused);
    socket.bind({ address, port, exclusive: true }, () => {
      socket.off('error', refused);
      resolve();
    });
  });
}

/** Connect a bound socket to a literal address; rejects with the system's error and leaves it open. */
export function connectSocket(socket: Socket, address: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.connect(port, address, (error?: Error | null) => {
      if (error) reject(error);
      else resolve();
    });
  });
}

/** Ask for a buffer of so many bytes. Linux grants what it likes; others refuse, and are asked for half. */
export function sizeBuffer(socket: Socket, which: 'receive' | 'send', bytes: number): void {
  for (let ask = bytes; ask >= LEAST_BUFFER; ask /= 2) {
    try {
      if (which === 'receive') socket.setRecvBufferSize(Math.floor(ask));
      else socket.setSendBufferSize(Math.floor(ask));
      return;
    } catch {
      // too much for this system
    }
  }
}

export function errorCode(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? 'unknown';
}
