"""Notices within seconds that another machine, or this machine's Docker daemon, is gone.

Only where agents have a network of their own (manage_network.py): links may be slow or down, so silence over them means
nothing. discovery.watch notices the end of a container, as long as the daemon that knew its name runs.
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
    """Send heartbeats, and report ranks that are silent, until cancelled.

    Args:
        silence: of the peers.
        beat: sends a heartbeat to all peers.
        lose: called with a rank that is silent, and why it counts as gone.
    """
    while True:
        beat()
        for rank in silence.gone(time.monotonic()):
            lose(rank, SILENT)
        await asyncio.sleep(BEAT_SECONDS)


async def until_daemon_is_gone(name: str) -> None:
    """Return when this machine's Docker daemon no longer answers: ask it for our own name, which it knows by itself."""
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
