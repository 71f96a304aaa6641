#!/usr/bin/env python3
"""Real TCP in all its ways, both ends. A connection begins with a line that says what its server is to do.

    tcp.py serve NAME                        the server, port 9000
    tcp.py parallel HOST COUNT BYTES         COUNT connections, all open before the first byte is asked for; SHA-256 of each is checked
    tcp.py talk HOST [--keepalive SECONDS]   echo, a line at a time: stdin leads, a line "quit" ends it
    tcp.py halfclose HOST BYTES              sends and closes its side; the server answers when it is told to go on
    tcp.py served HOST BYTES                 the server closes its side first; the client goes on sending
    tcp.py serverclose HOST                  the server closes altogether; the same two ports are used again at once
    tcp.py reset HOST client|server          one of them resets; the other must see that
    tcp.py meet HOST PORT --from-port N      both ends of a simultaneous open: each connects, and each says a line
    tcp.py go-on HOST KEY                    tell the server so

Prints what it saw on one line; exit 1 when that is not what it should be. A client that waits for a line on stdin says so first.
"""
import argparse
import errno
import hashlib
import random
import socket
import socketserver
import struct
import sys
import threading
import time

PORT = 9000
DEADLINE = 60.0
CHUNK = 1 << 16
LINGER_NOT = struct.pack('ii', 1, 0)


def data_of(seed, count):
    return random.Random(seed).randbytes(count)


def drain(sock):
    """Everything until the other side closes: its hash and length, or None after a reset."""
    digest, count = hashlib.sha256(), 0
    try:
        while chunk := sock.recv(CHUNK):
            digest.update(chunk)
            count += len(chunk)
    except ConnectionResetError:
        return None
    return digest.hexdigest(), count


def line_of(sock):
    """Byte by byte, so that what follows the line is left in the socket."""
    text = b''
    while not text.endswith(b'\n'):
        byte = sock.recv(1)
        if not byte:
            break
        text += byte
    return text.decode().strip()


# ---- the server

released = {}
outcomes = {}
changed = threading.Condition()


def note(table, key, value):
    with changed:
        table[key] = value
        changed.notify_all()


def wait_for(table, key):
    with changed:
        changed.wait_for(lambda: key in table, DEADLINE)
        return table.get(key)


class Handler(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.settimeout(DEADLINE)
        try:
            verb, *words = line_of(self.request).split() or ['']
            getattr(self, f'do_{verb}', lambda: None)(*words)
        except OSError:
            pass

    def do_bytes(self, seed, count):
        self.request.sendall(data_of(seed, int(count)))

    def do_echo(self):
        while text := line_of(self.request):
            self.request.sendall(f'{text}\n'.encode())

    def do_late(self, key, count):
        """The client closes its side; the answer waits until it is asked for."""
        heard = drain(self.request)
        note(outcomes, f'{key}-heard', heard)
        wait_for(released, key)
        self.request.sendall(data_of(key, int(count)))

    def do_early(self, key):
        """This side closes first, and hears the client out."""
        self.request.shutdown(socket.SHUT_WR)
        note(outcomes, key, drain(self.request))

    def do_reset(self):
        self.request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NOT)
        self.request.close()  # or socketserver would say FIN first

    def do_hold(self, key):
        note(outcomes, key, 'reset' if drain(self.request) is None else 'closed')

    def do_close(self):
        self.request.sendall(b'bye\n')

    def do_goon(self, key):
        note(released, key, True)
        self.request.sendall(b'told\n')

    def do_outcome(self, key):
        self.request.sendall(f'{wait_for(outcomes, key)}\n'.encode())


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 512


# ---- the clients

def connect(host, from_port=0, port=PORT):
    deadline = time.monotonic() + DEADLINE
    while True:
        sock = socket.socket()
        sock.settimeout(DEADLINE)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if from_port:
            sock.bind(('', from_port))
        try:
            sock.connect((host, port))
            return sock
        except OSError as error:  # this side's last connection from that port still waits for its last ACK
            sock.close()
            if error.errno != errno.EADDRNOTAVAIL or time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def ask(host, words):
    with connect(host) as sock:
        sock.sendall(f'{words}\n'.encode())
        return line_of(sock)


def pause(words):
    print(words, flush=True)
    return sys.stdin.readline().strip()


def parallel(args):
    count, size = int(args.words[0]), int(args.words[1])
    sockets = [connect(args.host) for _ in range(count)]
    start = time.monotonic()
    pause(f'open {count}')
    wrong = []

    def fetch(seed, sock):
        try:
            sock.sendall(f'bytes {seed} {size}\n'.encode())
            if drain(sock) != (hashlib.sha256(data_of(str(seed), size)).hexdigest(), size):
                wrong.append(f'{seed}: wrong bytes')
        except OSError as error:
            wrong.append(f'{seed}: {error}')
        finally:
            sock.close()

    threads = [threading.Thread(target=fetch, args=pair) for pair in enumerate(sockets)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.monotonic() - start
    return not wrong, f'{count - len(wrong)} of {count} downloads of {size} bytes right, {count * size / seconds / 1e6:.1f} MB/s {"; ".join(wrong[:3])}'


def talk(args):
    with connect(args.host, args.from_port) as sock:
        if args.keepalive:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL):
                sock.setsockopt(socket.IPPROTO_TCP, option, args.keepalive)
        sock.sendall(b'echo\n')
        said = 'hello'
        while said != 'quit':
            sock.sendall(f'{said}\n'.encode())
            if line_of(sock) != said:
                return False, f'{said} did not come back'
            said = pause(f'heard {said}, from port {sock.getsockname()[1]}')
    return True, 'every word came back'


def key_of(sock):
    return f'{sock.getsockname()[1]}-{time.monotonic_ns()}'


def halfclose(args):
    size = int(args.words[0])
    with connect(args.host, args.from_port) as sock:
        key = key_of(sock)
        sock.sendall(f'late {key} {size}\n'.encode() + b'x' * 1000)
        sock.shutdown(socket.SHUT_WR)
        heard = ask(args.host, f'outcome {key}-heard')
        pause(f'closed one side, key {key}')
        right = drain(sock) == (hashlib.sha256(data_of(key, size)).hexdigest(), size) and '1000' in heard
        return right, f'{size} bytes came through the half that stayed open: {right}'


def served(args):
    data = data_of('served', int(args.words[0]))
    with connect(args.host) as sock:
        key = key_of(sock)
        sock.sendall(f'early {key}\n'.encode())
        if sock.recv(1) != b'':
            return False, 'the server did not close'
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)
        heard = ask(args.host, f'outcome {key}')
    return hashlib.sha256(data).hexdigest() in heard, f'the server heard {heard}'


def serverclose(args):
    ports = []
    for _ in range(3):
        with connect(args.host, args.from_port) as sock:
            sock.sendall(b'close\n')
            if drain(sock) != (hashlib.sha256(b'bye\n').hexdigest(), 4):
                return False, 'no bye'
            ports.append(sock.getsockname()[1])
    return True, f'the server closed first, {len(ports)} times from port {ports[0]}'


def reset(args):
    with connect(args.host, args.from_port) as sock:
        if args.words[0] == 'server':
            sock.sendall(b'reset\n')
            return drain(sock) is None, 'the client saw the reset'
        key = key_of(sock)
        sock.sendall(f'hold {key}\n'.encode())
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NOT)
    heard = ask(args.host, f'outcome {key}')
    return heard == 'reset', f'the server saw: {heard}'


def meet(args):
    with connect(args.host, args.from_port, int(args.words[0])) as sock:
        sock.sendall(f'from {sock.getsockname()[1]}\n'.encode())
        heard = line_of(sock)
        sock.shutdown(socket.SHUT_WR)
        rest = drain(sock)
        return heard.startswith('from ') and rest is not None, f'heard: {heard}'


def go_on(args):
    said = ask(args.host, f'goon {args.words[0]}')
    return said == 'told', said


CLIENTS = {'parallel': parallel, 'talk': talk, 'halfclose': halfclose, 'served': served, 'serverclose': serverclose, 'reset': reset, 'meet': meet, 'go-on': go_on}


def main():
    parser = argparse.ArgumentParser(description='Real TCP in all its ways')
    parser.add_argument('verb', choices=('serve', *CLIENTS))
    parser.add_argument('host')
    parser.add_argument('words', nargs='*')
    parser.add_argument('--from-port', type=int, default=0)
    parser.add_argument('--keepalive', type=int, default=0)
    args = parser.parse_args()
    if args.verb == 'serve':
        with Server(('', PORT), Handler) as server:
            print('ready', flush=True)
            server.serve_forever()
    try:
        right, words = CLIENTS[args.verb](args)
    except OSError as error:
        right, words = False, f'{type(error).__name__}: {error}'
    print(words, flush=True)
    return 0 if right else 1


sys.exit(main())
