/**
 * Several sockets on one address and port, between which the kernel spreads datagrams by a hash of outer addresses and
 * ports (SO_REUSEPORT). Node has had the option since 22.12, on Linux and a few others; an older one ignores it.
 */
import { createSocket, type Socket, type SocketOptions } from 'node:dgram';
import { bindSocket, errorCode } from './sockets.js';

interface SharedOptions extends SocketOptions { readonly reusePort: boolean }

/** A socket to receive on, whose address others may have as well. */
export function makeSharedSocket(family: 4 | 6): Socket {
  const options: SharedOptions = {
    type: family === 4 ? 'udp4' : 'udp6', ipv6Only: family === 6, reusePort: true,
    lookup: (host, _options, done) => done(null, host, family), // never a name, as in sockets.ts
  };
  return createSocket(options);
}

/**
 * Can two sockets have `address`? Tried, not guessed from versions: null when they can, otherwise why not. Rejects when
 * not even one can, which is another matter.
 */
export async function whyNotShared(family: 4 | 6, address: string): Promise<string | null> {
  const first = makeSharedSocket(family);
  try {
    await bindSocket(first, address, 0);
  } catch (error) {
    if (isUnsupported(errorCode(error))) return `the system refuses it (${errorCode(error)})`;
    throw error;
  }
  const second = makeSharedSocket(family);
  try {
    await bindSocket(second, address, first.address().port);
    second.close();
    return null;
  } catch (error) {
    return `a second socket on ${address} was refused (${errorCode(error)}) under Node ${process.version}`;
  } finally {
    first.close();
  }
}

function isUnsupported(code: string): boolean {
  return code === 'ENOTSUP' || code === 'EOPNOTSUPP' || code === 'ENOPROTOOPT';
}
