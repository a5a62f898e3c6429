"""Messages of INET_DIAG that Linux 6.18 sent, read."""

import base64
import errno
import socket
import struct
import zlib

import pytest

from harness.netlink.tcp_info import Connection, TcpInfo, is_opening, read_answer, read_found

CLIENT = (
    "c-muPWMDYcC)`=jzyM?+06HH8Ixs{aU`|sK11kdun9ae!52kq-MBxUoF^Dk)0cjaVCWsjOD#iyg%wW0G{}~u0m>BQ^7AXB6sP;M#^8wlXVE+Gl"
    "E~pvIP&FWV5GdHqnkEWS0|pD*P#rG@#G+{CivY2~rK9ITW-Z{y?iQGy1#OJD9sC63Aw~vL02j~|$)!n|$v`#$mb)hx"
)
"""Of a dump: the client's end of a connection over 127.0.0.1 from port 52366 to 5001, after 100,000 bytes."""
DUAL = (
    "c-rG)WMB~PI@`qn2mk-qGcYh><98v6B7=oZNerwE9AGvF13#GNVGxBI!p0!RAOxgk7?~hq?5h|b$S^}B8yFZQm>7rx|Nk>EoCacUAe$A;|6k9="
    "01<<l24;hRbc+8aVTc+qz-AuIT5bm70V9#BPXA{h32-p5FeD`vF#rHj9wVj"
)
"""The end, at port 5002, of a connection that a socket of IPv6 took from an IPv4 address."""
ANSWER = (
    "c-ou6$iN`Nz`y{c80s|{7?^;JGkwCH^$;OAK<9%%2Zjg)%xOwuU}fL{vpE>}!88wpDBJ)x1~G;pAT7hl1QBCj#rQym87z1DKLdjV6Lxc1pfm@R"
    "{U50IIuP>#+5BMs|9UQ{8O%_%AbAid*v*<I3Q+?F3)@f~F9yV-X!d}@#o*G>^B}Vp@MCuqOwWQg9DxA>Pna061Rq`i0P#g8Wd"
)
"""The answer to a request for the client's end alone."""
OVER = "c-l)~U|<jdVn!gY*JNN|Vq<1F(<j_n4-tX`bUp}lKt+DMWWWF%4E$gk0DzSSpa"
"""The same after it was closed: TIME_WAIT, of which the kernel has no tcp_info."""


def data(text):
    return zlib.decompress(base64.b85decode(text))


def test_a_connection_of_a_dump():
    found = read_found(data(CLIENT))
    assert found.connection.family == socket.AF_INET
    assert found.connection.ports == (52366, 5001)
    assert found.connection.remote == bytes([127, 0, 0, 1]) + bytes(12)
    assert (found.congestion_control, found.mss) == ("cubic", 65483)


def test_an_ipv4_connection_of_an_ipv6_socket():
    found = read_found(data(DUAL))
    assert found.connection.family == socket.AF_INET6
    assert found.connection.ports[0] == 5002
    assert found.connection.remote == bytes(10) + b"\xff\xff" + bytes([127, 0, 0, 1])


def test_what_the_kernel_knows_of_a_connection():
    answer = data(ANSWER)
    assert read_answer(answer, len(answer)) == TcpInfo(10, 14, 0, 16_370_750_000, 100_001, 4_000, 0)
    assert read_answer(bytearray(answer) + b"of the message before", len(answer)).bytes_acked == 100_001


def test_an_older_kernel_tells_less():
    """Linux 4.9: struct tcp_info has 160 bytes."""
    answer = data(ANSWER)
    start = answer.index(bytes([0x1C, 0x01, 2, 0]))
    short = answer[:start] + bytes([160 + 4, 0, 2, 0]) + answer[start + 4 : start + 4 + 160] + b"\xff\xff\xff\xff" * 8
    assert read_answer(short, len(short)) == TcpInfo(10, 14, 0, 0, 100_001, 0, 0)


def test_a_connection_that_is_over():
    for answer in (data(OVER), error(errno.ENOENT)):
        assert read_answer(answer, len(answer)) is None


def error(code):
    return struct.pack("=IHHIIi16x", 36, 2, 0, 1, 0, -code)


def test_a_request_that_is_refused():
    with pytest.raises(OSError, match="not permitted"):
        read_answer(error(errno.EPERM), 36)


@pytest.mark.parametrize("state", [2, 3, 12])
def test_a_connection_that_is_being_made_is_none_yet(state):
    body = bytearray(data(CLIENT))
    assert not is_opening(body)
    body[1] = state
    assert is_opening(body)
    assert read_found(bytes(body)) is None


def test_an_identity_names_one_connection():
    one, other = (read_found(data(text)).connection for text in (CLIENT, DUAL))
    assert one == Connection(*one)
    assert one != other
