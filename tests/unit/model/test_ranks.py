"""Ranks as users write them."""

import pytest

from harness.errors import InputError
from harness.model.ranks import named_ranks, parse_ranks


def test_ranks():
    assert parse_ranks("2", 4) == [2]
    assert parse_ranks("3, 0,3", 4) == [0, 3]
    assert parse_ranks("2-3,0", 4) == [0, 2, 3]
    assert parse_ranks("all", 4) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("4", "there is no rank 4; this network has ranks 0 to 3"),
        ("3-1", "'3-1' is not a rank; write e.g. 2, or several as 0,2 or 0-3, or all"),
        ("1-4", "there is no rank 4; this network has ranks 0 to 3"),
        ("", "'' is not a rank"),
        ("-1", "'-1' is not a rank"),
        ("٢", "is not a rank"),
        ("0,all", "'all' is not a rank"),
    ],
)
def test_what_is_no_rank(text, words):
    with pytest.raises(InputError, match=words):
        parse_ranks(text, 4)


def test_named_ranks_of_edges_and_lists():
    assert named_ranks("0-1, 2-1") == {0, 1, 2}
    assert named_ranks("all") == named_ranks("9" * 5000 + "-") == frozenset()
