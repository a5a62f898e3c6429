"""What a recorded packet is called, and which one it was at the other end of its link."""

import re
import struct

import pytest

from harness.capture.ip import identity, length_of
from harness.capture.packet_line import describe, line
from harness.capture.pairing import Pairing
from harness.capture.points import Point
from harness.capture.record import Decoder, Record, encode, mark
from harness.capture.session import describe as described

V4, V6 = (bytes([10, 77, 0, 1]), bytes([10, 77, 0, 2])), (bytes([0xFD, *[0] * 14, 1]), bytes([0xFD, *[0] * 14, 2]))
UDP = struct.pack(">4H", 5000, 53, 20, 0xBEEF)
TCP = struct.pack(">HHIIBBHHH", 40000, 29500, 7, 9, 5 << 4, 0x18, 64, 0xBEEF, 0)
ECHO = struct.pack(">BBHHH", 8, 0, 0, 3, 1)


def ip4(protocol, body, length, *, fragment=0, number=0, ecn=0):
    return struct.pack(">BBHHHBBH4s4s", 0x45, ecn, length, number, fragment, 64, protocol, 0xAAAA, *V4) + body


def ip6(protocol, body, size):
    return struct.pack(">IHBB16s16s", 6 << 28, size, protocol, 64, *V6) + body


@pytest.mark.parametrize(
    ("packet", "text"),
    [
        (ip4(17, UDP, 40), "IP 10.77.0.1.5000 > 10.77.0.2.53: UDP, length 12"),
        (ip4(6, TCP, 1500), "IP 10.77.0.1.40000 > 10.77.0.2.29500: Flags [P.], seq 7, ack 9, length 1460"),
        (ip4(1, ECHO, 84), "IP 10.77.0.1 > 10.77.0.2: ICMP echo request, id 3, seq 1, length 64"),
        (ip4(17, b"x" * 30, 50, fragment=185), "IP 10.77.0.1 > 10.77.0.2: ip-proto-17 at 1480, length 30"),
        (ip4(47, b"", 60), "IP 10.77.0.1 > 10.77.0.2: ip-proto-47, length 40"),
        (ip6(17, UDP, 20), "IP6 fd00::1.5000 > fd00::2.53: UDP, length 12"),
        (ip6(58, b"\x81" + ECHO[1:], 64), "IP6 fd00::1 > fd00::2: ICMP6, echo reply, id 3, seq 1, length 64"),
        (ip6(0, bytes([17, 0]) + bytes(6) + UDP, 28), "IP6 fd00::1.5000 > fd00::2.53: UDP, length 12"),
        (b"\0\1", "not IP, length 2"),
    ],
)
def test_a_packet_reads_as_tcpdump_writes_it(packet, text):
    assert describe(packet, length_of(packet)) == text


@pytest.mark.parametrize("packet", [ip4(6, TCP, 1500), ip4(17, UDP, 40), ip6(17, UDP, 20)])
@pytest.mark.parametrize("cut", range(0, 60, 7))
def test_a_packet_of_which_little_was_copied_is_no_error(packet, cut):
    assert describe(packet[:cut], 1500)
    assert len(identity(packet[:cut])) == min(cut, len(packet))


def test_what_a_link_may_change_in_a_packet_does_not_make_it_another():
    sent = ip4(17, UDP, 40, number=5)
    came = bytearray(ip4(17, UDP, 40, number=5, ecn=3))
    came[10:12], came[26:28] = b"\x12\x34", b"\x56\x78"
    assert identity(sent) == identity(bytes(came))
    assert identity(sent) != identity(ip4(17, UDP, 40, number=6))


ENDS = [Point((0, 1), "sent", ()), Point((0, 1), "received", ())]


def test_each_received_packet_has_its_delay_and_what_did_not_come_is_counted():
    pairing = Pairing(ENDS)
    packets = [ip4(17, UDP, 40, number=number) for number in (1, 2, 2, 3)]
    for number, packet in enumerate(packets):
        assert pairing.add(Record(number * 1_000_000, 0, 40, packet)) is None
    took = [pairing.add(Record(at * 1_000_000, 1, 40, packet)) for at, packet in ((50, packets[0]), (54, packets[2]))]
    assert took == [50_000_000, 53_000_000]
    assert pairing.add(Record(60_000_000, 1, 40, ip4(17, UDP, 40, number=9))) is None
    text = described(pairing.edges[0, 1])
    assert text == "4 packets sent, 3 received, 2 lost or still on their way; one-way delay 50 – 53 ms, mean 51.5 ms"
    shown = line(Record(1_795_830_000_123_456_789, 1, 40, packets[0]), ENDS[1], 50_123_000)
    assert re.fullmatch(
        r"\d\d:\d\d:00\.123456 0->1 received IP 10.77.0.1.5000 > 10.77.0.2.53: UDP, length 12, after 50.12 ms", shown
    )


def attr(kind, value):
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def logged(number, point, packet, *, family=2, stamp=b""):
    """A message of the kernel's (linux/netfilter/nfnetlink_log.h)."""
    body = struct.pack(">BBH", family, 0, 5) + attr(10, f"{point}\0".encode()) + stamp + attr(9, packet)
    body += attr(12, struct.pack(">I", number))
    return struct.pack("=IHHII", 16 + len(body), 4 << 8, 0, 0, 0) + body


def test_records_come_in_any_pieces_with_the_kernels_time_where_it_is_right():
    packet, stamp = ip4(17, UDP, 40), attr(3, struct.pack(">QQ", 7, 5))
    sent = logged(10, 0, bytes(14) + packet, family=5, stamp=stamp)
    data = encode([(8_000, sent), (9_000, logged(11, 1, packet, stamp=stamp))]) + mark(9_500)
    data += encode([(10_000, logged(15, 1, packet))])
    decoder = Decoder({0})
    found = [record for at in range(0, len(data), 13) for record in decoder.feed(data[at : at + 13])]
    assert [(one.at, one.point, one.length, one.data) for one in found] == [
        (7_000_005_000, 0, 40, packet),
        (9_000, 1, 40, packet),
        (10_000, 1, 40, packet),
    ]
    assert decoder.until == 9_500
    assert decoder.lost == 3
