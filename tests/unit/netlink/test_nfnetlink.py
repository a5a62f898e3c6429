"""nf_tables messages as bytes, and transactions against a kernel that is made up."""

import errno
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.netlink import nft_expressions as expr
from harness.netlink import nftables as nft
from harness.netlink.channel import Refusal, Request
from harness.netlink.nfnetlink import WHOLE, Nfnetlink, header, integer, nest
from harness.netlink.nft_expressions import Accept, Compare, Counter, Foreign, Meta, Payload, ToQueue
from harness.netlink.nlattr import NLM_F_ACK, NLM_F_REQUEST, NLMSG_ERROR, attr, attrs, message, messages, text

NF_TABLES = 10
u16, u32 = st.integers(0, 2**16 - 1), st.integers(0, 2**32 - 1)
expressions = st.one_of(
    st.builds(Meta, u32),
    st.builds(Payload, u32, u32, u32),
    st.builds(Compare, st.binary(min_size=1, max_size=16), st.booleans()),
    st.builds(Counter, st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1)),
    st.builds(ToQueue, u16, st.booleans()),
    st.just(Accept()),
    st.just(expr.Drop()),
    st.builds(expr.Mask, st.binary(min_size=1, max_size=16)),
    st.builds(expr.Mask, st.binary(min_size=2, max_size=2), st.just(b"\0\3")),
    st.builds(expr.Write, u32, u32, st.none() | u32),
)


# Bytes


@given(st.lists(expressions, max_size=6))
def test_a_rule_comes_back(rule):
    request = nft.add_rule(2, "t", "c", rule)
    assert nft.read_rule(memoryview(request.body)) == nft.HeldRule(0, tuple(rule))


def test_integers_are_big_endian_and_nests_say_so():
    assert integer(3, 5) == bytes.fromhex("08000300 00000005")
    assert integer(3, -300) == bytes.fromhex("08000300 fffffed4")
    assert nest(4, integer(3, 5)) == bytes.fromhex("0c000480 08000300 00000005")
    assert text(1, "abc") == bytes.fromhex("08000100 61626300")
    assert header(10, 0x1234) == bytes.fromhex("0a00 1234")


def test_nfqueues_structure_is_the_hosts_order_and_eight_bytes_long():
    listed = attrs(nft.add_rule(2, "t", "c", [ToQueue(513, native=False)]).body[4:])[4]
    data = attrs(attrs(attrs(listed)[1])[2])
    assert bytes(data[1]) == b"NFQUEUE\0"
    assert bytes(data[2]) == bytes((0, 0, 0, 3))
    assert bytes(data[3]) == struct.pack("=HHHH", 513, 1, 0, 0)


def test_the_native_queue_asks_for_no_bypass():
    listed = attrs(nft.add_rule(2, "t", "c", [ToQueue(513)]).body[4:])[4]
    data = attrs(attrs(attrs(listed)[1])[2])
    assert {kind: bytes(value) for kind, value in data.items()} == {1: b"\x02\x01", 2: b"\0\x01", 3: b"\0\0"}


def told(name, data):
    return memoryview(header(2) + nest(4, nest(1, text(1, name), nest(2, data))))


def short(kind, value):
    return struct.pack("=HH", 6, kind) + struct.pack(">Hxx", value)


NFQUEUE = text(1, "NFQUEUE")


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("queue", short(1, 5) + short(2, 1) + short(3, 1)),
        ("queue", short(1, 5) + short(2, 2) + short(3, 0)),
        ("target", NFQUEUE + integer(2, 3) + struct.pack("=HH3H2x", 12, 3, 5, 1, 1)),
        ("target", NFQUEUE + integer(2, 3) + struct.pack("=HH3H2x", 12, 3, 5, 4, 0)),
        ("target", NFQUEUE + integer(2, 2) + struct.pack("=HH3H2x", 12, 3, 5, 1, 0)),
        ("target", text(1, "DROP") + integer(2, 3) + struct.pack("=HH3H2x", 12, 3, 5, 1, 0)),
        ("target", NFQUEUE + integer(2, 3) + struct.pack("=HHH2x", 6, 3, 5)),
        ("meta", integer(2, 3) + integer(3, 1)),
        ("meta", b""),
        ("cmp", integer(1, 1) + integer(2, 3) + nest(3, attr_of_value := integer(1, 7))),
        ("cmp", integer(1, 1) + integer(2, 0) + nest(3)),
        ("payload", integer(1, 9) + integer(2, 1) + integer(3, 12) + integer(4, 4)),
        ("immediate", integer(1, 0) + nest(2, nest(2, integer(1, -1)))),
        ("bitwise", integer(1, 1) + integer(2, 2) + integer(3, 1) + nest(4, attr(1, b"a")) + nest(5, attr(1, b"\0"))),
        ("payload", integer(2, 2) + integer(3, 12) + integer(4, 4) + integer(5, 1) + integer(6, 0)),
        ("immediate", integer(1, 1) + nest(2, attr_of_value)),
        ("limit", b""),
        ("", b""),
    ],
)
def test_what_we_never_make_is_foreign(name, data):
    """Above all queues that let packets pass where nobody listens (flag 1 of both)."""
    assert nft.read_rule(told(name, data)).expressions == (Foreign(name),)


def test_a_foreign_expression_has_no_bytes():
    with pytest.raises(ValueError, match="'limit'"):
        nft.add_rule(2, "t", "c", [Foreign("limit")])


def test_a_chain_comes_back():
    for chain in (
        nft.Chain("t", "c", "filter", nft.OUTPUT, -300, expr.DROP),
        nft.Chain("t", "c", "filter", nft.EGRESS, -300, expr.ACCEPT, "eth0"),
        nft.Chain("t", "c", "", None, None, None),
    ):
        assert nft.read_chain(memoryview(nft.add_chain(10, chain).body)) == chain


# Transactions


class Kernel:
    """A socket with prepared answers: errno by position, the transaction's beginning being 0."""

    def __init__(self, errors, early=()):
        self.errors, self.early, self.answers, self.sent = errors, list(early), [], []

    def send(self, data):
        self.sent = list(messages(data))
        self.answers = list(self.early)
        for position, (_, flags, sequence, _) in enumerate(self.sent):
            code = self.errors.get(position, 0)
            if code or flags & NLM_F_ACK:
                self.answers.append(message(NLMSG_ERROR, 0, sequence, struct.pack("=i", -code) + bytes(16)))

    def recv(self, size):
        return self.answers.pop(0)

    def close(self):
        pass


def transaction(errors, count=3, early=()):
    with Nfnetlink() as netlink:
        netlink._socket.close()
        netlink._socket = kernel = Kernel(errors, early)
        refusals = netlink.transaction([Request(NF_TABLES << 8 | 6, 0x400, header(2) + bytes(4))] * count)
        return refusals, kernel


def test_requests_are_bracketed_and_only_the_last_is_acknowledged():
    refusals, kernel = transaction({})
    assert refusals == []
    assert [kind for kind, *_ in kernel.sent] == [0x10, 0xA06, 0xA06, 0xA06, 0x11]
    assert [bool(flags & NLM_F_ACK) for _, flags, _, _ in kernel.sent] == [False, False, False, True, False]
    assert all(flags & NLM_F_REQUEST for _, flags, _, _ in kernel.sent)
    assert bytes(kernel.sent[0][3]) == bytes(kernel.sent[4][3]) == bytes((0, 0, 0, NF_TABLES))
    numbers = [sequence for _, _, sequence, _ in kernel.sent]
    assert numbers == list(range(numbers[0], numbers[0] + 5))


def test_refusals_name_the_request():
    refusals, _ = transaction({2: errno.ENOENT, 3: errno.EEXIST})
    assert refusals == [
        Refusal(1, errno.ENOENT, "No such file or directory"),
        Refusal(2, errno.EEXIST, "File exists"),
    ]


def test_a_refused_beginning_is_the_whole_transactions():
    refusals, kernel = transaction({0: errno.EPERM})
    assert refusals == [Refusal(WHOLE, errno.EPERM, "Operation not permitted")]
    assert kernel.answers, "not waited for: without the right, the kernel sends nothing more"


def test_answers_to_what_was_sent_before_are_no_answers():
    old = message(NLMSG_ERROR, 0, 0, struct.pack("=i", -errno.EPERM) + bytes(16))
    assert transaction({}, early=[old])[0] == []


def test_nothing_asked_is_nothing_sent():
    refusals, kernel = transaction({}, count=0)
    assert (refusals, kernel.sent) == ([], [])
