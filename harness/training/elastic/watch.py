"""Waits for the end of a process group beside the training."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final

_NEVER: Final = timedelta(days=1000)


class Watch:
    """Waits in a thread until a key of the store says that a group has ended, or the store cannot be reached.

    Args:
        store: a connection of its own: it is busy as long as it waits.
        key: for which to wait.
        answer: the key to set then.
        ended: called then, in that thread.
    """

    def __init__(self, store: Any, key: str, answer: str, ended: Callable[[], None]) -> None:
        self._store, self._key, self._answer, self._ended = store, key, answer, ended
        self.told = False
        """Whether the key says so; else the connection was lost."""
        self._closed = threading.Event()
        threading.Thread(target=self._run, name=key, daemon=True).start()

    def close(self) -> None:
        """Call nothing any more."""
        self._closed.set()

    def _run(self) -> None:
        with contextlib.suppress(RuntimeError):
            self._store.wait([self._key], _NEVER)
            self.told = True
            self._store.set(self._answer, "")
        if not self._closed.is_set():
            self._ended()
