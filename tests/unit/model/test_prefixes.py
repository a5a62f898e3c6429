"""Prefixes hold the addresses that they were made of and no other, and are as few as can be."""

from ipaddress import IPv4Address, collapse_addresses, ip_network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.model.address import Addressing
from harness.model.prefixes import cover, spans
from tests.support.plans import network

TOPOLOGIES = ("ring", "line", "star", "tree", "grid", "islands:2", "full")


@given(st.sets(st.integers(0, 255)))
def test_exactly_these_numbers_are_covered_and_each_once(numbers):
    found = list(cover(sorted(numbers), 8))
    held = [number for start, length in found for number in range(start, start + 2 ** (8 - length))]
    assert held == sorted(numbers)
    assert all(start % 2 ** (8 - length) == 0 for start, length in found)


@given(st.sets(st.integers(0, 2**32 - 1)))
@pytest.mark.parametrize("near", [0, 2**31, 2**32 - 300])
def test_there_are_as_few_as_the_standard_library_finds(near, numbers):
    numbers = {number for number in numbers if number < 300} | {near + number % 300 for number in numbers}
    found = [ip_network(pair) for pair in cover(sorted(numbers), 32)]
    assert found == list(collapse_addresses(map(IPv4Address, numbers)))


def test_all_addresses_are_one_prefix():
    assert list(cover(range(256), 8)) == [(0, 0)]
    assert list(cover([], 8)) == []


def test_stretches_of_numbers():
    assert list(spans([0, 1, 2, 5, 7, 8])) == [(0, 2), (5, 5), (7, 8)]
    assert list(spans([])) == []


@pytest.mark.parametrize("topology", TOPOLOGIES)
@settings(max_examples=15, deadline=None)
@given(size=st.integers(4, 24), given_out=st.permutations(range(40)), docker=st.booleans())
def test_every_destination_goes_to_its_next_hop_and_no_other_address_anywhere(topology, size, given_out, docker):
    plan = network(topology, size)
    net = Addressing()
    if docker:
        own = tuple(net.ipv4_net[2 + number] for number in given_out[:size])
        net = Addressing(given4=own, given6=tuple(net.ipv6_net[2 + number] for number in given_out[:size]))
    ranks = {net.address(rank, version): rank for rank in range(size) for version in (4, 6)}
    for rank in range(size):
        node = plan.node(rank)
        node = type(node)(**{**vars(node), "addressing": net})
        ways = node.ways(node.egress, (4, 6))
        found = {ranks[address]: hop for prefix, hop in ways.items() for address in prefix}
        assert found == plan.next_hops[rank], "an address that nobody has would be no key of ranks"
        assert sum(prefix.num_addresses for prefix in ways) == 2 * (size - 1)


@pytest.mark.parametrize("size", [256, 1000, 4094])
def test_half_a_ring_needs_few_wherever_it_begins(size):
    """One for each destination were 65,280, 999,000 and 16 million in the whole ring."""
    for rank in range(0, size, size // 30):
        half = [(rank + step) % size for step in range(1, size // 2 + 1)]
        assert len(Addressing().prefixes(half, 4)) <= 3 * size.bit_length() - 6
