"""Defers the signals that end a command."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Final

ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_holding = False
"""Whether a block is active; nested blocks do nothing."""


@contextlib.contextmanager
def held() -> Iterator[None]:
    """Defer ENDING signals to the end of the block, where it raises the first one that came.

    For changes that must be complete; and for forks, where Python runs callbacks (logging has some) and swallows what a
    signal's handler raises in them, so that a SIGTERM would be lost. It exchanges handlers instead of blocking signals,
    because the kernel gives a blocked signal to another thread, and Python still runs its handler in the main thread.
    In other threads it does nothing, because handlers never run there.
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
