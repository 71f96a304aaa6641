#!/usr/bin/env python3
"""plain-nic.py DEVICE...: switch off what the device offers to do for the kernel (ethtool -K tx off tso off gso off).

A veth hands packets over as they are, super-packets with checksums still to be filled in; a real NIC would cut and
fill on the way out. With offloads off the kernel does it, so that the gateway sees what a wire would carry.
"""
import array
import fcntl
import socket
import struct
import sys

SIOCETHTOOL = 0x8946
STXCSUM, STSO, SGSO = 0x17, 0x1F, 0x24  # ETHTOOL_S..., linux/ethtool.h

with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
    for device in sys.argv[1:]:
        for command in (STSO, SGSO, STXCSUM):
            value = array.array('B', struct.pack('II', command, 0))
            try:
                fcntl.ioctl(sock, SIOCETHTOOL, struct.pack('16sP', device.encode(), value.buffer_info()[0]))
            except OSError as error:
                if command == STXCSUM:  # the others follow from it
                    raise SystemExit(f'{device}: {error}')
