"""Thins a long series to the points that a chart of some hundred pixels can show."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, TypeVar

MOST_POINTS: Final = 500
"""The most points of a curve on the page."""
LEAST_POINTS: Final = 24
"""The fewest points to which a curve is thinned."""

T = TypeVar("T")


def thin(points: Sequence[T], height: Callable[[T], float], most: int = MOST_POINTS) -> list[T]:
    """At most `most` points, in order: the first, the last, and the lowest and highest of each stretch between.

    Peaks stay, which an average or every n-th point would hide. ``height``: a point's value on the y axis; ``most``: at
    least 4.
    """
    if len(points) <= most:
        return list(points)
    inner = range(1, len(points) - 1)
    stretches = (most - 2) // 2
    kept = {0, len(points) - 1}
    for number in range(stretches):
        stretch = inner[number * len(inner) // stretches : (number + 1) * len(inner) // stretches]
        kept.add(min(stretch, key=lambda place: height(points[place])))
        kept.add(max(stretch, key=lambda place: height(points[place])))
    return [points[place] for place in sorted(kept)]
