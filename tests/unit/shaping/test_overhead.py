"""A negative overhead is refused before anything is made, where the kernel cannot make it."""

import re

import pytest

from harness.errors import ShapeError
from harness.model.capacity import Capacity, NodeShape
from harness.model.units import Rate
from harness.shaping.facts import NetemFacts, UserspaceFacts
from tests.support.plans import network, shape


def uplink(overhead):
    return network("star", 3).with_nodes({1: NodeShape(uplink=Capacity(Rate.parse("10mbit"), overhead=overhead))})


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        (network("line", 2, shape(rate="1mbit", overhead="-14", queue="codel")), "edge 0->1: overhead -14"),
        (network("line", 2, shape(rate="1mbit", overhead="-14", buffer="64KiB")), "tbf takes no negative overhead"),
        (network("line", 2, shape(rate="1mbit", overhead="-14", burst="64KiB")), "use --engine userspace"),
        (uplink(-14), "uplink of node 1: overhead -14"),
    ],
)
def test_of_a_bucket_or_an_uplink_it_is_refused(plan, words):
    with pytest.raises(ShapeError, match=re.escape(words)):
        NetemFacts().check(plan)
    UserspaceFacts().check(plan)


def test_netems_own_rate_counts_less_and_all_count_more():
    NetemFacts().check(network("line", 2, shape(rate="1mbit", overhead="-14")))
    NetemFacts().check(network("line", 2, shape(rate="1mbit", overhead="24", queue="codel")))
    NetemFacts().check(uplink(24))
