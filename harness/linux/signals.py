"""Signals that end a command, kept from arriving at the wrong moment."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Final

ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_holding = False
"""Whether a block is under way: one within it has nothing to do."""


@contextlib.contextmanager
def held() -> Iterator[None]:
    """Let them wait until the end of the block; the first that came is raised then.

    Around a change that must be whole; and around a fork, where Python runs callbacks (logging has some) and swallows
    what a signal's handler raises in them, so that a SIGTERM would be lost. The handlers are exchanged rather than the
    signals blocked: the kernel gives a blocked one to another thread, and Python runs its handler in the main thread
    all the same. In other threads this does nothing, for handlers never run there.
    """
    global _holding
    if threading.current_thread() is not threading.main_thread() or _holding:
        yield
        return
    came: list[int] = []

    def remember(number: int, frame: FrameType | None) -> None:
        came.append(number)

    ours = [number for number in ENDING if signal.getsignal(number) is not None]  # None: made in C, and stays
    before = {number: signal.signal(number, remember) for number in ours}
    _holding = True
    try:
        yield
    finally:
        _holding = False
        for held_back, handler in before.items():
            signal.signal(held_back, handler)
        for number in came[:1]:
            signal.raise_signal(number)
