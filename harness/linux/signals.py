"""Signals that end a command, kept from arriving at the wrong moment."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from typing import Final

ENDING: Final = frozenset({signal.SIGINT, signal.SIGTERM, signal.SIGHUP})


@contextlib.contextmanager
def held() -> Iterator[None]:
    """Let them wait until the end of the block.

    Around a fork: Python runs callbacks there (logging has some) and swallows what a signal's handler raises in them,
    so that a SIGTERM would be lost. The child inherits the mask and must call release.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def release() -> None:
    """In a child that was forked while they were held: let them through again."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)
