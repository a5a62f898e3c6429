"""Run in nodes: ``receive`` and ``send`` frames; see tests/live/test_every_packet.py.

receive GROUP...: sockets for all that may arrive, then ``ready``; at the end of standard input, JSON: by the number of
a kind, when it came. send: a JSON list of [number, how, frame in hexadecimal] on standard input; JSON: when each left.
"""

import contextlib
import json
import re
import select
import socket
import struct
import sys
import time

INTERFACE = "eth0"
PROTOCOLS = (1, 2, 4, 6, 17, 41, 47, 50, 51, 58, 89, 132, 253)
TEXT = re.compile(rb"kind (\d{3})\.")
GAP = 0.0015
SOL_PACKET, PACKET_QDISC_BYPASS, ETH_P_ALL = 263, 20, 3
ROOT = 0x10000


def sockets(groups):
    """Raw ones for IP, as an application gets it; a packet socket for the rest."""
    index = socket.if_nametoindex(INTERFACE)
    for family in (socket.AF_INET, socket.AF_INET6):
        for protocol in PROTOCOLS:
            with contextlib.suppress(OSError):
                yield socket.socket(family, socket.SOCK_RAW, protocol)
    member = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    member4 = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for group in groups:
        if ":" in group:
            request = socket.inet_pton(socket.AF_INET6, group) + struct.pack("@I", index)
            member.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, request)
        else:
            request = struct.pack("4s4si", socket.inet_aton(group), bytes(4), index)
            member4.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, request)
    yield from (member, member4)
    others = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    others.bind((INTERFACE, ETH_P_ALL))
    yield others


def receive(groups):
    opened, came = list(sockets(groups)), {}
    print("ready", flush=True)
    while True:
        ready = select.select([sys.stdin, *opened], (), ())[0]
        now = time.monotonic()
        for source in ready:
            if source is sys.stdin:
                if not sys.stdin.readline():
                    print(json.dumps(came), flush=True)
                    return
                print(json.dumps(came), flush=True)
                came.clear()
                continue
            data, address = source.recvfrom(1 << 16)
            if source.family == socket.AF_PACKET and (address[2] == 4 or data[12:14] in (b"\x08\0", b"\x86\xdd")):
                continue  # what we send ourselves; IP as a sniffer sees it
            if found := TEXT.search(data):
                came.setdefault(int(found[1]), now)


def send():
    made = {}
    for how in ("packet", "bypass", "priority"):
        made[how] = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        made[how].bind((INTERFACE, 0))
    made["bypass"].setsockopt(SOL_PACKET, PACKET_QDISC_BYPASS, 1)
    made["priority"].setsockopt(socket.SOL_SOCKET, socket.SO_PRIORITY, ROOT)
    print("ready", flush=True)
    for line in sys.stdin:
        left = {}
        for number, how, frame in json.loads(line):
            left[number] = time.monotonic()
            data = bytes.fromhex(frame)
            with contextlib.suppress(OSError):
                made[how].sendto(data, (INTERFACE, int.from_bytes(data[12:14])))
            time.sleep(GAP)
        print(json.dumps(left), flush=True)


if __name__ == "__main__":
    {"receive": receive, "send": lambda _: send()}[sys.argv[1]](sys.argv[2:])
