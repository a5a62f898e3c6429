"""The error of a function in a node, and the warning about links."""

from __future__ import annotations

import sys
import warnings

from harness.errors import HarnessError

_PACKAGE = __name__.partition(".")[0]


class HarnessWarning(UserWarning):
    """Something about the links that can change results, e.g. that they are made in user space."""


class RankError(HarnessError):
    """The function failed on a rank: the first one that failed.

    Its note is the traceback in the node, or the last lines that the rank printed; its ``__cause__`` is the exception
    of the function, where that can be unpickled here.

    Args:
        rank: the node.
        what: what happened.
    """

    def __init__(self, rank: int, what: str) -> None:
        self.rank, self.what = rank, what
        super().__init__(f"rank {rank}: {what}")

    def __reduce__(self) -> tuple[type[RankError], tuple[int, str]]:
        return type(self), (self.rank, self.what)


def warn(text: str) -> None:
    """Give a HarnessWarning at the user's line: the first one up the stack that is outside this package."""
    level, frame = 2, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == _PACKAGE:
        level, frame = level + 1, frame.f_back
    warnings.warn(text, HarnessWarning, stacklevel=level)
