"""Changes of a plan as users write them."""

import pytest

from harness.errors import InputError, PlanError, ShapeError
from harness.model.link_edit import ShapeEdit
from harness.model.plan_edit import crossing, parse_pairs, reshaped, set_down
from harness.model.profile_file import load_profile
from tests.support.plans import network, shape

RING = network("ring", 4, shape(delay="10ms"))


def test_edges_are_written_in_pairs_lists_or_all():
    assert parse_pairs("0-1", RING) == [(0, 1), (1, 0)]
    assert parse_pairs("0-1, 2-1", RING, one_way=True) == [(0, 1), (2, 1)]
    assert parse_pairs("all", RING) == sorted(RING.edges)


@pytest.mark.parametrize(
    ("text", "error"),
    [("0", InputError), ("a-b", InputError), ("", InputError), ("0-2", PlanError), ("0-9", PlanError)],
)
def test_what_is_no_edge_is_refused(text, error):
    with pytest.raises(error):
        parse_pairs(text, RING)


@pytest.mark.parametrize(
    ("edges", "words"),
    [
        ((0, 1), r"^edges are text, not \(0, 1\); write '0-1'$"),
        ([2, 1], "write '2-1'"),
        ([(0, 1), (1, 2)], "write '0-1', or several as '0-1,1-2', or 'all'"),
        (None, "not None; write '0-1'"),
    ],
)
def test_pairs_of_ranks_are_told_how_edges_are_written(edges, words):
    with pytest.raises(InputError, match=words):
        parse_pairs(edges, RING)


@pytest.mark.parametrize("groups", [[[0, 1], [2, 3]], ["0,1", "2,3"], ([0], [1]), 0])
def test_lists_of_ranks_are_told_how_a_partition_is_written(groups):
    with pytest.raises(InputError, match=r"^a partition is text, not .*; write e\.g\. '0,1\|2,3'$"):
        crossing(groups, RING)


def test_a_partition_cuts_what_lies_between_groups():
    assert sorted(crossing("0,1|2,3", RING)) == [(0, 3), (1, 2), (2, 1), (3, 0)]
    assert sorted(crossing("0", RING)) == [(0, 1), (0, 3), (1, 0), (3, 0)]
    for wrong in ("0,0", "0|x", "7", ""):
        with pytest.raises(InputError):
            crossing(wrong, RING)


def test_links_go_down_and_keep_their_shape():
    down = set_down(RING, [(0, 1)], True)
    assert [edge.pair for edge in down.edges.values() if edge.down] == [(0, 1)]
    assert down.edges[0, 1].shape == RING.edges[0, 1].shape
    assert set_down(down, down.edges, False) == RING


def test_only_what_is_named_changes():
    new = reshaped(RING, [(0, 1)], ShapeEdit.parse({"delay": "30ms"}))
    assert (new.edges[0, 1].shape, new.edges[0, 1].origin) == (shape(delay="30ms"), "set")
    assert new.edges[1, 0] == RING.edges[1, 0]


def test_a_shape_is_drawn_or_cleared_before_it_is_edited():
    profile = load_profile("wan")
    drawn = reshaped(RING, [(0, 1)], ShapeEdit.parse({}), profile=profile).edges[0, 1]
    assert (drawn.shape, drawn.origin) == (profile.sample(RING.seed, 0, 1), "wan")
    other = reshaped(RING, [(0, 1)], ShapeEdit.parse({}), profile=profile, seed=5).edges[0, 1]
    assert other.shape == profile.sample(5, 0, 1)
    clear = reshaped(RING, [(0, 1)], ShapeEdit.parse({"loss": "1%"}), clear=True).edges[0, 1]
    assert clear.shape == shape(loss="1%")


def test_a_contradiction_names_its_edge():
    with pytest.raises(ShapeError, match=r"edge 0->1 \(.*10ms.*\): jitter"):
        reshaped(RING, [(0, 1)], ShapeEdit.parse({"jitter": "20ms"}))


def test_a_value_that_is_out_of_range_alone_needs_no_other():
    with pytest.raises(ShapeError, match=r"limit 0 is not between 1 and \d+ packets$"):
        reshaped(RING, [(0, 1)], ShapeEdit.parse({"rate": "1mbit", "limit": "0"}))
