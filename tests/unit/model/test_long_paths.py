"""Networks in which some nodes are too far from each other for IP."""

import pytest

from harness.model.long_paths import long_paths
from tests.support.plans import network


@pytest.mark.parametrize("topology", ["full", "ring", "star", "tree", "line"])
def test_most_networks_have_none(topology):
    assert long_paths(network(topology, 256 if topology != "full" else 20)) == []


@pytest.mark.parametrize(
    ("topology", "size", "words"),
    [
        ("line", 257, "nodes 256 and 0 are 256 hops apart, and packets are dropped after 255"),
        ("line", 300, "nodes 299 and 0 are 299 hops apart"),
        ("ring", 520, "are 260 hops apart"),
    ],
)
def test_where_they_are_too_far_apart_one_line_says_so(topology, size, words):
    (text,) = long_paths(network(topology, size))
    assert words in text


def test_a_large_network_with_short_paths_has_none():
    assert long_paths(network("tree", 600)) == []
    assert long_paths(network("ring", 510)) == []
