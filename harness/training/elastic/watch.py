"""Waits in a thread for the end of a process group."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final

_NEVER: Final = timedelta(days=1000)


class GroupWatch:
    """Waits until a group has ended, or the connection to the store is lost.

    Args:
        store: a connection that nothing else uses.
        key: is set when the group has ended.
        answer: the key that this sets then.
        ended: called then, in the thread.
    """

    def __init__(self, store: Any, key: str, answer: str, ended: Callable[[], None]) -> None:
        self._store, self._key, self._answer, self._ended = store, key, answer, ended
        self.told = False
        """Whether the key was set; otherwise the connection was lost."""
        self._closed = threading.Event()
        threading.Thread(target=self._run, name=key, daemon=True).start()

    def close(self) -> None:
        """Do not call ``ended`` any more."""
        self._closed.set()

    def _run(self) -> None:
        with contextlib.suppress(RuntimeError):
            self._store.wait([self._key], _NEVER)
            self.told = True
            self._store.set(self._answer, "")
        if not self._closed.is_set():
            self._ended()
