"""Calls that may take long in threads that nothing waits for at the end, as asyncio does for those of to_thread."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


async def aside(work: Callable[[], T]) -> T:
    """What the work returns or raises.

    Looking up a name takes seconds where the name server asks others, or is gone: with to_thread a container whose job
    has ended would stay for that long.
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
        with contextlib.suppress(RuntimeError):  # the loop has ended, and nobody waits
            loop.call_soon_threadsafe(settle, *found)

    threading.Thread(target=run, daemon=True).start()
    return await outcome
