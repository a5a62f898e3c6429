"""Finds out every minute on which machine each node is, and measures the paths between machines.

Rank 0 asks all agents for their machine; the lowest rank on each machine measures the paths to the machines after it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping
from pathlib import Path as File
from typing import Any, Final

from harness.agent.machine_path import ask, measure_path
from harness.agent.manage_network import PORT, ManageNetwork
from harness.agent.protocol import Message
from harness.model.address import INTERFACE
from harness.model.machines import Machines, Path

EVERY_SECONDS: Final = 60.0
_POLL_SECONDS: Final = 0.5
_POLLS: Final = 40
_FAILURES: Final = (OSError, TimeoutError, ValueError, LookupError, TypeError)

Spawn = Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]


class Survey:
    """One agent's part in it.

    Args:
        rank: of this node.
        machine: of this node.
        manage: the agents' network.
        spawn: starts a task.
    """

    def __init__(self, rank: int, machine: str, manage: ManageNetwork, spawn: Spawn) -> None:
        self._rank, self._machine, self._manage, self._spawn = rank, machine, manage, spawn
        self._mtu = {"links": _mtu(INTERFACE), "manage": _mtu(manage.interface)}
        self._paths: dict[int, Path] = {}
        self._measuring: asyncio.Task[None] | None = None
        self._names: dict[int, str] = {rank: machine}
        self.known = Machines([""] * len(manage.addresses))
        """What rank 0 knows."""

    def answer(self, message: Message) -> Mapping[str, Any]:
        """Answer another agent or, at rank 0, the command line."""
        if message["do"] == "time":
            now = time.time()
            return {"received": now, "answered": time.time()}
        if message["do"] == "machines":
            return self.known.to_json()
        if peers := message.get("measure"):
            self._measuring = self._spawn(self._measure([int(peer) for peer in peers]))
        paths = {str(rank): path.to_json() for rank, path in self._paths.items()}
        busy = self._measuring is not None and not self._measuring.done()
        return {"machine": self._machine, "mtu": self._mtu, "paths": paths, "busy": busy}

    async def _measure(self, peers: Iterable[int]) -> None:
        """Measure the paths to these ranks' machines; a path that cannot be measured keeps its last values."""
        own = self._manage.address(self._rank)
        for peer in peers:
            try:
                self._paths[peer] = await measure_path(own, (self._manage.address(peer), PORT), self._mtu)
            except _FAILURES:
                continue

    async def run(self, heard: Callable[[Machines], None]) -> None:
        """At rank 0: survey every minute until cancelled.

        Args:
            heard: called with each result.
        """
        while True:
            self.known = await self._once()
            heard(self.known)
            await asyncio.sleep(EVERY_SECONDS)

    async def _once(self) -> Machines:
        size = len(self._manage.addresses)
        facts = dict(zip(range(1, size), await asyncio.gather(*map(self._facts, range(1, size))), strict=True))
        self._names |= {rank: str(found["machine"]) for rank, found in facts.items() if found}
        mtu = {rank: dict(found["mtu"]) for rank, found in facts.items() if found} | {0: self._mtu}
        here = Machines([self._names.get(rank, "") for rank in range(size)])
        first = list(here.first_ranks.values())
        later = {rank: first[place + 1 :] for place, rank in enumerate(first) if first[place + 1 :]}
        found = dict(zip(later, await asyncio.gather(*(self._from(*one) for one in later.items())), strict=True))
        names = here.of_rank
        paths = {(names[a], names[b]): path for a, of_a in found.items() for b, path in of_a.items()}
        return Machines(names, {**self.known.paths, **paths}, mtu, time.time())

    async def _from(self, rank: int, peers: list[int]) -> dict[int, Path]:
        """The paths from that rank's machine to these ranks' machines."""
        if rank == self._rank:
            await self._measure(peers)
            return {peer: path for peer, path in self._paths.items() if peer in peers}
        found = await self._facts(rank, measure=peers)
        for _ in range(_POLLS):
            if not found.get("busy"):
                break
            await asyncio.sleep(_POLL_SECONDS)
            found = await self._facts(rank)
        return {int(peer): Path.from_json(one) for peer, one in found.get("paths", {}).items() if int(peer) in peers}

    async def _facts(self, rank: int, **more: Any) -> dict[str, Any]:
        """An agent's answer about its machine; empty if it cannot be reached."""
        try:
            return await ask((self._manage.address(rank), PORT), {"do": "machine", **more})
        except _FAILURES:
            return {}


def _mtu(interface: str) -> int:
    return int(File(f"/sys/class/net/{interface}/mtu").read_text())
