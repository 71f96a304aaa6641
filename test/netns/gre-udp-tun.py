#!/usr/bin/env python3
"""A TUN device whose packets travel in GRE in UDP (RFC 8086): what `ip link add type gre ... encap fou` would be.

    0                   1                   2                   3
   |0| |K|0| Reserved and version, all 0   |  0800 or 86DD         |   RFC 2784 §2, RFC 2890 §2
   |  Key, with --key                                              |

Not every kernel has FOU. Sends to port 4754 and receives on it; the source port is another one, as RFC 8086 has it.
"""
import argparse
import fcntl
import os
import select
import socket
import struct
import sys

GRE_PORT = 4754
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
ETHERTYPE = {4: 0x0800, 6: 0x86DD}  # by IP version
BATCH = 64  # packets taken from one side before the other gets its turn


def open_tun(name):
    tun = os.open('/dev/net/tun', os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(tun, TUNSETIFF, struct.pack('16sH22x', name.encode(), IFF_TUN | IFF_NO_PI))
    return tun


def udp_socket(address, port):
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
        sock.setsockopt(socket.SOL_SOCKET, option, 4 << 20)
    sock.setblocking(False)
    sock.bind((address, port))
    return sock


def gre_header(ethertype, key):
    return struct.pack('!HH', 0, ethertype) if key is None else struct.pack('!HHI', 0x2000, ethertype, key)


def main():
    parser = argparse.ArgumentParser(description='A TUN device over GRE in UDP')
    parser.add_argument('tun', help='name of the device to make')
    parser.add_argument('local', help='IPv4 address to speak from')
    parser.add_argument('remote', help='IPv4 address of the other end')
    parser.add_argument('--key', type=int, help='GRE key, both ways; without it, no key field')
    args = parser.parse_args()

    headers = {version: gre_header(ethertype, args.key) for version, ethertype in ETHERTYPE.items()}
    known = {header: len(header) for header in headers.values()}
    header_len = len(headers[4])
    inbound, outbound = udp_socket(args.local, GRE_PORT), udp_socket(args.local, 0)
    remote = (args.remote, GRE_PORT)  # not connected: then a port unreachable would cost the next packet
    tun = open_tun(args.tun)
    print('ready', os.getpid(), flush=True)  # the device is there; its addresses are the caller's

    poll = select.poll()
    poll.register(tun, select.POLLIN)
    poll.register(inbound, select.POLLIN)
    while True:
        for fd, _ in poll.poll():
            try:
                for _ in range(BATCH):
                    if fd == tun:
                        packet = os.read(tun, 65536)
                        outbound.sendto(headers[packet[0] >> 4] + packet, remote)
                        continue
                    datagram, (sender, _) = inbound.recvfrom(65536)
                    if sender != args.remote or datagram[:header_len] not in known:
                        print(f'not mine: from {sender}, {datagram[:16].hex()}', file=sys.stderr, flush=True)
                        continue
                    os.write(tun, datagram[header_len:])
            except BlockingIOError:
                pass
            except OSError as error:  # no room, or the device is down: a packet lost, as on any wire
                print(f'lost a packet: {error}', file=sys.stderr, flush=True)


if __name__ == '__main__':
    try:
        main()
    except KeyboardInterrupt:
        pass
