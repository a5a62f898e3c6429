"""What a function in a node can end with, and what is worth a warning."""

from __future__ import annotations

import sys
import warnings

from harness.errors import HarnessError

_PACKAGE = __name__.partition(".")[0]


class HarnessWarning(UserWarning):
    """Something about the links that can change results, e.g. that user space makes them."""


class RankError(HarnessError):
    """The first rank that failed.

    Its notes are the traceback in the node, or the last lines of a rank that died; its ``__cause__`` is what the
    function raised, where that can be unpickled here.

    Args:
        rank: the node.
        what: what became of it.
    """

    def __init__(self, rank: int, what: str) -> None:
        self.rank, self.what = rank, what
        super().__init__(f"rank {rank}: {what}")

    def __reduce__(self) -> tuple[type[RankError], tuple[int, str]]:
        return type(self), (self.rank, self.what)


def warn(text: str) -> None:
    """A HarnessWarning at the user's line: the first up the stack that is not of this package."""
    level, frame = 2, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == _PACKAGE:
        level, frame = level + 1, frame.f_back
    warnings.warn(text, HarnessWarning, stacklevel=level)
