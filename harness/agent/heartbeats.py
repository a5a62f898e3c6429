"""Notices within seconds that another machine, or this one's Docker daemon, is no more.

Only where agents have a network of their own (manage_network.py): over the links, which may be slow or down, silence
says nothing. A container that ends is noticed by its name (discovery.watch), where the daemon that knew it lives.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import Final

from harness.agent import discovery
from harness.agent.aside import aside
from harness.agent.silence import BEAT_SECONDS, DAEMON_SECONDS, PEER_SECONDS, Silence

SILENT: Final = f"no sign of life for {PEER_SECONDS:.0f} s from its machine or the network in between"
NAMELESS: Final = "its container has ended, or its machine has left the swarm"
DAEMON_GONE: Final = "its machine's Docker daemon does not answer"
_OWN: Final = 0


async def watch_peers(silence: Silence, beat: Callable[[], None], lose: Callable[[int, str], None]) -> None:
    """Say that we are there, and notice who is not, until cancelled.

    Args:
        silence: who was heard.
        beat: says it to all that are connected.
        lose: called with a rank that is silent, and why it counts as gone.
    """
    while True:
        beat()
        for rank in silence.gone(time.monotonic()):
            lose(rank, SILENT)
        await asyncio.sleep(BEAT_SECONDS)


async def until_daemon_is_gone(name: str) -> None:
    """Ask this machine's Docker daemon for our own name, which it knows without asking others, until it is silent."""
    silence = Silence(DAEMON_SECONDS)
    silence.heard(_OWN)

    async def ask() -> None:
        while True:
            with contextlib.suppress(discovery.Unanswered):
                await aside(lambda: discovery.look_up(name))
                silence.heard(_OWN)
            await asyncio.sleep(BEAT_SECONDS)

    asking = asyncio.ensure_future(ask())
    try:
        while not silence.gone(time.monotonic()):
            await asyncio.sleep(BEAT_SECONDS)
    finally:
        asking.cancel()
