"""Runs slow calls in daemon threads: asyncio waits at its end for threads of to_thread, but not for these."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


async def aside(work: Callable[[], T]) -> T:
    """Call in a thread; what the call returns or raises.

    Looking up a name may take seconds, for which a container whose job has ended would stay with to_thread.
    """
    loop = asyncio.get_running_loop()
    outcome: asyncio.Future[T] = loop.create_future()

    def settle(method: Callable[[Any], None], value: object) -> None:
        if not outcome.done():
            method(value)

    def run() -> None:
        try:
            found = outcome.set_result, work()
        except Exception as problem:
            found = outcome.set_exception, problem  # type: ignore[assignment]
        with contextlib.suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(settle, *found)

    threading.Thread(target=run, daemon=True).start()
    return await outcome
