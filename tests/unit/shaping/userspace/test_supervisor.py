"""Which nodes one shaper daemon looks after."""

import pytest

from harness.shaping.userspace.supervisor import shares


@pytest.mark.parametrize(
    ("ranks", "together", "most", "expected"),
    [
        (5, [], 2, [[0, 2, 4], [1, 3]]),
        (5, [], 0, [[0, 1, 2, 3, 4]]),
        (2, [], 8, [[0], [1]]),
        (6, [[3, 4, 5]], 2, [[3, 4, 5], [0, 1, 2]]),
        (8, [[0, 1, 2], [3, 4, 5]], 2, [[0, 1, 2, 6], [3, 4, 5, 7]]),
        (4, [[0, 1], [2, 3]], 8, [[0, 1], [2, 3]]),
        (3, [[0, 1, 2]], 4, [[0, 1, 2]]),
    ],
)
def test_groups_stay_whole_and_parts_are_of_about_one_size(ranks, together, most, expected):
    assert shares(range(ranks), together, most) == expected
