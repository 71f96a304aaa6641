#!/usr/bin/env python3
"""The asking side of responder.py. Prints what it saw on one line; exit 1 when that is not what it should be.

    client.py get HOST PATH [--from-port N]       the body
    client.py download HOST BYTES [--pause]       count, SHA-256 checked; --pause waits midway for a line on stdin
    client.py upload HOST BYTES
    client.py echo HOST BYTES                     UDP
    client.py whoami HOST                         UDP
    client.py closed HOST                         UDP to a port where nobody listens: refused by ICMP is right
"""
import argparse
import hashlib
import http.client
import os
import random
import socket
import sys
import time

CHUNK = 1 << 18
TRIES, PATIENCE = 4, 0.5  # a datagram lost, or refused with the MTU that would do, is sent again
DEADLINE = 10.0


def connect(args):
    source = ('', args.from_port) if args.from_port else None
    return http.client.HTTPConnection(args.host, timeout=DEADLINE, source_address=source)


def get(args):
    connection = connect(args)
    connection.request('GET', args.what)
    return True, connection.getresponse().read().decode().strip()


def rate(count, start):
    seconds = time.monotonic() - start
    return f'{count} bytes in {seconds:.2f} s, {count / seconds / 1e6:.1f} MB/s'


def download(args):
    connection = connect(args)
    connection.request('GET', f'/bytes/{args.what}')
    answer = connection.getresponse()
    start = time.monotonic()
    digest, count = hashlib.sha256(), 0
    while chunk := answer.read(CHUNK):
        digest.update(chunk)
        count += len(chunk)
        if args.pause and count >= int(args.what) // 10:
            print(f'paused at {count}', flush=True)
            sys.stdin.readline()
            args.pause = False
    right = count == int(args.what) and digest.hexdigest() == answer.headers['X-Sha256']
    return right, f'{rate(count, start)}, SHA-256 {"right" if right else "WRONG"}'


def upload(args):
    data = random.Random(1).randbytes(int(args.what))
    connection = connect(args)
    start = time.monotonic()
    connection.request('POST', '/sum', body=data)
    digest = connection.getresponse().read().decode()
    right = digest == hashlib.sha256(data).hexdigest()
    return right, f'{rate(len(data), start)}, SHA-256 {"right" if right else "WRONG"}'


def ask(host, data):
    family, _, _, _, address = socket.getaddrinfo(host, 7, type=socket.SOCK_DGRAM)[0]
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.settimeout(PATIENCE)
        sock.connect(address)
        for attempt in range(1, TRIES + 1):
            try:
                sock.send(data)
                return sock.recv(65536), attempt
            except OSError:  # silence, or an ICMP error
                continue
    return b'', TRIES


def echo(args):
    data = os.urandom(int(args.what))
    answer, attempt = ask(args.host, data)
    return answer == data, f'{len(answer)} of {len(data)} bytes came back, attempt {attempt}'


def whoami(args):
    answer, _ = ask(args.host, b'whoami')
    return answer != b'', answer.decode() or 'no answer'


def closed(args):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(PATIENCE * TRIES)
        sock.connect((args.host, 9))
        sock.send(b'anybody?')
        try:
            sock.recv(1)
        except ConnectionRefusedError:
            return True, 'refused: the ICMP error found its socket'
    return False, 'answered'


def main():
    parser = argparse.ArgumentParser(description='The asking side of responder.py')
    parser.add_argument('verb', choices=('get', 'download', 'upload', 'echo', 'whoami', 'closed'))
    parser.add_argument('host')
    parser.add_argument('what', nargs='?', default='')
    parser.add_argument('--from-port', type=int, default=0)
    parser.add_argument('--pause', action='store_true')
    args = parser.parse_args()
    try:
        right, words = globals()[args.verb](args)
    except (OSError, http.client.HTTPException) as error:
        right, words = False, f'{type(error).__name__}: {error}'
    print(words, flush=True)
    return 0 if right else 1


sys.exit(main())
