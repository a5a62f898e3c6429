"""Netlink messages and attributes as bytes."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.netlink.nlattr import NLM_F_ACK, NLM_F_REQUEST, attr, attrs, message, messages

payloads = st.dictionaries(st.integers(1, 0x3FFF), st.binary(max_size=70), max_size=8)


@pytest.mark.parametrize(
    ("payload", "encoded"),
    [
        (b"", b"\x04\x00\x07\x00"),
        (b"a", b"\x05\x00\x07\x00a\0\0\0"),
        (b"abcd", b"\x08\x00\x07\x00abcd"),
        (b"abcde", b"\x09\x00\x07\x00abcde\0\0\0"),
    ],
)
def test_attributes_are_padded_and_tell_their_true_length(payload, encoded):
    assert attr(7, payload) == encoded


@given(payloads)
def test_attributes_come_back(found):
    data = b"".join(attr(kind, payload) for kind, payload in found.items())
    assert len(data) % 4 == 0
    assert {kind: bytes(payload) for kind, payload in attrs(data).items()} == found


def test_flags_in_a_type_are_no_part_of_it():
    nested, network_order = 0x8000, 0x4000
    assert attrs(attr(5 | nested, b"x") + attr(6 | network_order, b"y")).keys() == {5, 6}


def test_of_a_type_that_is_there_twice_the_last_counts():
    assert bytes(attrs(attr(5, b"old") + attr(5, b"new"))[5]) == b"new"


def test_attributes_nest():
    inner = attrs(attrs(attr(2, attr(1, b"one") + attr(3, b"three")))[2])
    assert {kind: bytes(value) for kind, value in inner.items()} == {1: b"one", 3: b"three"}


@given(st.binary(max_size=100))
def test_no_bytes_hang_or_crash_the_attribute_reader(data):
    assert all(len(value) <= len(data) for value in attrs(data).values())


def test_a_message_has_the_header_of_linux_netlink_h():
    data = message(36, NLM_F_ACK, 9, b"body")
    assert struct.unpack("=IHHII", data[:16]) == (20, 36, NLM_F_ACK | NLM_F_REQUEST, 9, 0)
    assert data[16:] == b"body"


@given(st.lists(st.tuples(st.integers(0, 0xFFFF), st.integers(0, 2**32 - 1), payloads), max_size=5))
def test_messages_come_back_in_order(sent):
    bodies = [b"".join(attr(k, v) for k, v in found.items()) for _, _, found in sent]
    data = b"".join(message(kind, 0, number, body) for (kind, number, _), body in zip(sent, bodies, strict=True))
    assert [(kind, number, bytes(body)) for kind, _, number, body in messages(data)] == [
        (kind, number, body) for (kind, number, _), body in zip(sent, bodies, strict=True)
    ]


@given(st.binary(max_size=100))
def test_no_bytes_hang_the_message_reader(data):
    assert len(list(messages(data))) <= len(data) // 16


def test_a_length_of_zero_ends_the_reading():
    good = message(1, 0, 1, b"")
    assert len(list(messages(good + bytes(16) + good))) == 1
