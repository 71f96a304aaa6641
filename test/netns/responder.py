#!/usr/bin/env python3
"""What answers in every namespace: HTTP on port 80, UDP echo on port 7, over IPv4 and IPv6.

    GET /whoami    one line: this place's name, and the address it sees
    GET /bytes/N   N bytes that never repeat, their SHA-256 in X-Sha256
    POST /sum      SHA-256 of what was sent
    UDP "whoami"   as GET /whoami; anything else comes back as it is
"""
import hashlib
import http.server
import random
import socket
import sys
import threading

CHUNK = 1 << 18
NAME = sys.argv[1]
V4_MAPPED = '::ffff:'


def seen(peer):
    return f'{NAME} saw {peer[0].removeprefix(V4_MAPPED)} {peer[1]}'.encode()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def do_GET(self):
        if self.path == '/whoami':
            return self.answer(seen(self.client_address) + b'\n')
        data = random.Random(0).randbytes(int(self.path.removeprefix('/bytes/')))
        self.answer(data, hashlib.sha256(data).hexdigest())

    def do_POST(self):
        left = int(self.headers['Content-Length'])
        digest = hashlib.sha256()
        while left > 0:
            chunk = self.rfile.read(min(CHUNK, left))
            if not chunk:
                return
            digest.update(chunk)
            left -= len(chunk)
        self.answer(digest.hexdigest().encode())

    def answer(self, body, digest=''):
        self.send_response(200)
        self.send_header('Content-Length', str(len(body)))
        self.send_header('X-Sha256', digest)
        self.end_headers()
        try:
            self.wfile.write(body)
        except OSError:
            pass  # the client has seen enough

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6
    daemon_threads = True

    def server_bind(self):  # without HTTPServer's look-up of its own name
        self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        self.socket.bind(self.server_address)
        self.server_name, self.server_port = NAME, 80


def echo(sock):
    while True:
        data, peer = sock.recvfrom(65536)
        try:
            sock.sendto(seen(peer) if data == b'whoami' else data, peer)
        except OSError:
            pass  # longer than the path's MTU: the client asks again


udp = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
udp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
udp.bind(('::', 7))
threading.Thread(target=echo, args=(udp,), daemon=True).start()
server = Server(('::', 80), Handler)
print('ready', flush=True)
server.serve_forever()
