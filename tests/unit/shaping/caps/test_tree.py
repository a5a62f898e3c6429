"""The htb tree that a capacity asks for, and what is said where the kernel has another one."""

from dataclasses import replace

import pytest

from harness.model.address import MTU
from harness.model.capacity import Capacity
from harness.model.queueing import Queue
from harness.model.units import Rate, Size
from harness.shaping.caps.tree import REST, TOTAL, CapTree, cap_tree, differences, held_capacity

CAPACITY = Capacity(Rate(20_000_000))


def test_flows_may_use_the_whole_capacity_and_are_owed_less_than_it():
    tree = cap_tree(CAPACITY, 3, MTU)
    flows = [tree.classes[number] for number in (1, 2, 3, REST)]
    assert {flow.ceil for flow in flows} == {tree.classes[TOTAL].rate} == {2_500_000}
    assert sum(flow.rate for flow in flows) < tree.classes[TOTAL].rate
    assert len({flow.rate for flow in flows}) == len({flow.quantum for flow in flows}) == 1


def test_what_waits_is_bounded_in_bytes_per_flow():
    assert {leaf.limit for leaf in cap_tree(CAPACITY, 2, MTU).leaves.values()} == {125_000}
    small = replace(CAPACITY, buffer=Size(10_000))
    assert {leaf.limit for leaf in cap_tree(small, 2, MTU).leaves.values()} == {small.flow_bytes(2)}


@pytest.mark.parametrize("rate", [1, 8, 64_000, 10**9, 400 * 10**9])
def test_every_rate_fits_into_the_kernels_fields(rate):
    for spec in cap_tree(Capacity(Rate(rate * 8)), 1000, MTU).classes.values():
        assert 1 <= spec.rate <= spec.ceil < 2**64
        assert 1 <= spec.bucket < 2**32
        assert 1 <= spec.ceil_bucket < 2**32


@pytest.mark.parametrize("overhead", [-14, 0, 24])
@pytest.mark.parametrize("queue", [Queue(), Queue.of("codel")])
@pytest.mark.parametrize("buffer", [None, Size(64 * 1024)])
def test_a_capacity_is_read_back_as_it_was_asked_for(overhead, queue, buffer):
    capacity = Capacity(Rate(20_000_000), queue, buffer, overhead)
    assert held_capacity(cap_tree(capacity, 3, MTU), capacity, 3) == capacity


def test_what_never_limits_is_no_capacity_however_large_one_is():
    assert held_capacity(cap_tree(None, 3, MTU), CAPACITY, 3) is None
    assert held_capacity(CapTree(), CAPACITY, 3) is None
    large = Capacity(Rate(20 * 10**9))
    assert held_capacity(cap_tree(large, 3, MTU), large, 3) == large


def test_another_capacity_is_read_as_what_it_is():
    other = Capacity(Rate(5_000_000), Queue.of("codel"), Size(100_000), 24)
    found = held_capacity(cap_tree(other, 1, MTU), CAPACITY, 1)
    assert found == other


def without(mapping, key):
    return {name: value for name, value in mapping.items() if name != key}


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda tree: CapTree(), "class ffff is missing"),
        (lambda tree: replace(tree, classes=without(tree.classes, 2)), "class 2 is missing"),
        (lambda tree: replace(tree, leaves=without(tree.leaves, 1)), "the queue of class 1 is missing"),
        (lambda tree: replace(tree, shortening=4), "overhead 0 -> -4"),
        (
            lambda tree: cap_tree(replace(CAPACITY, rate=Rate(16_000_000)), 2, MTU),
            "class ffff: rate 2500000 -> 2000000, ceil 2500000 -> 2000000, bucket 25088 -> 27453",
        ),
        (
            lambda tree: cap_tree(replace(CAPACITY, queue=Queue.of("codel")), 2, MTU),
            "queue of class 1: droptail 125000 bytes -> codel 125000 bytes",
        ),
    ],
)
def test_what_differs_is_named(damage, told):
    tree = cap_tree(CAPACITY, 2, MTU)
    assert not list(differences(tree, tree))
    found = list(differences(tree, damage(tree)))
    assert any(text.startswith(told) for text in found), found
