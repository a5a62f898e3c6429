"""What is read and changed in a packet's header."""

import socket
import struct
from random import Random

import pytest

from harness.shaping.userspace.packet import CE, MARKED, ecn, flow_key, marked, with_ce


def ipv4(bits, options=b"", protocol=6, fragment=0):
    words = 5 + len(options) // 4
    head = struct.pack(
        ">BBHHHBBH4s4s", 0x40 + words, bits, 60, 7, fragment, 64, protocol, 0, b"\x0a\0\0\1", b"\x0a\0\0\2"
    )
    head += options
    return head[:10] + checksum(head).to_bytes(2) + head[12:] + struct.pack(">HH", 4321, 80) + bytes(16)


def ipv6(traffic_class, label=0xABCDE):
    head = struct.pack(">IHBB", 6 << 28 | traffic_class << 20 | label, 20, 6, 64)
    return head + bytes(range(32)) + struct.pack(">HH", 4321, 80) + bytes(16)


def checksum(head):
    total = sum(struct.unpack(f">{len(head) // 2}H", head))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


@pytest.mark.parametrize("bits", range(4))
@pytest.mark.parametrize("dscp", [0, 0x2E])
@pytest.mark.parametrize("make", [ipv4, ipv6])
def test_a_mark_changes_the_two_bits_alone(make, dscp, bits):
    head = make(dscp << 2 | bits)
    assert ecn(head) == bits
    if not bits:
        assert marked((1, 2, 3, b"", 4, head)) is None
        return
    *rest, after = marked((1, 2, 3, b"", 4, head))
    assert rest == [1, 2, 3, b"" if bits == CE else MARKED, 4]
    assert after == make(dscp << 2 | CE)
    assert ecn(after) == CE


def test_checksums_stay_right():
    random = Random(3)
    for _ in range(2000):
        head = bytearray(ipv4(random.randrange(256)))
        head[12:20] = random.randbytes(8)
        head[10:12] = bytes(2)
        head[10:12] = checksum(head[:20]).to_bytes(2)
        assert checksum(with_ce(bytes(head))[:20]) == 0


def test_a_changed_payload_is_marked_as_well():
    head = ipv4(2)
    assert marked((1, -2, 3, head, 4, head))[3] == ipv4(CE)


def test_what_is_not_known_is_not_marked():
    assert marked((1, 2, 3, b"", 4, b"")) is None
    assert flow_key(b"") == b""


def test_a_flow_is_its_addresses_protocol_and_ports():
    assert flow_key(ipv4(0)) == flow_key(ipv4(3)) != flow_key(ipv6(0))
    assert flow_key(ipv4(0)) == flow_key(ipv4(0, bytes(8)))
    assert flow_key(ipv4(0)) != flow_key(ipv4(0, protocol=17))
    assert flow_key(ipv4(0))[-4:] == struct.pack(">HH", 4321, 80)
    assert flow_key(ipv6(0))[-4:] == struct.pack(">HH", 4321, 80)
    assert flow_key(ipv4(0, protocol=socket.IPPROTO_ICMP))[-4:] == b"\x0a\0\0\2"
    assert flow_key(ipv4(0, fragment=5)) == flow_key(ipv4(0, fragment=6)) == flow_key(ipv4(0, fragment=0x2000))
