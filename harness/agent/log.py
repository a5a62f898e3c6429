"""Writes the agent's lines to the container's log."""

from __future__ import annotations

import contextlib
import os
import select
from typing import Final

_PATIENCE_SECONDS: Final = 1.0


def say(text: str) -> None:
    """Log a line; it is lost where nobody reads the log, e.g. when Docker's daemon has died."""
    with contextlib.suppress(OSError):
        if takes(2, _PATIENCE_SECONDS):
            os.write(2, f"harness: {text}\n".encode())


def takes(target: int, seconds: float = 0.0) -> bool:
    """Whether select.PIPE_BUF bytes can be written to a file descriptor without blocking, within so many seconds."""
    poll = select.poll()
    poll.register(target, select.POLLOUT)
    return bool(poll.poll(seconds * 1000))
