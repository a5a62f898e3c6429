"""Whoever shapes links in a benchmark's network: a peer, by its commands in the nodes, or this harness."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple, Protocol

from benchmarks.peer_commands import DEVICE, Link, Peer, Step, words
from harness.backends.base import Task
from harness.backends.netns.backend import NetnsBackend
from harness.model.link import LinkShape
from harness.model.plan import NetworkPlan
from harness.model.units import Rate, Ratio, Time
from harness.networks.network import Network


@dataclass(frozen=True)
class Bench:
    """A network that is up and unshaped to begin with, and its state folder."""

    net: Network
    backend: NetnsBackend
    folder: Path

    def address(self, rank: int) -> str:
        """IPv4."""
        return str(self.net.plan.addressing.ipv4(rank))

    def neighbours(self, rank: int) -> list[str]:
        """Their addresses; of node 0, node 1's is the first."""
        return [self.address(there) for here, there in sorted(self.net.plan.edges) if here == rank]

    def harness(self, *given: str) -> subprocess.Popen[bytes]:
        """A command of ours that knows the network."""
        env = {**os.environ, "HARNESS_STATE_DIR": str(self.folder)}
        argv = [sys.executable, "-m", "harness", *given]
        return subprocess.Popen(argv, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


class Tool(Protocol):
    """See the module."""

    name: str

    def shape(self, bench: Bench, link: Link, seconds: float) -> tuple[float, int]:
        """Shape what nodes send to neighbours; seconds it took, and of how many nodes: none is begun after so many."""
        ...

    def change(self, bench: Bench, link: Link) -> float:
        """Change the link from node 0 to node 1 by a command; how long it took, in seconds."""
        ...

    def clear(self, bench: Bench) -> None:
        """Whatever it takes."""
        ...


class Ours:
    """This harness, by the engine of the network."""

    def __init__(self, name: str) -> None:
        self.name = name

    def shape(self, bench: Bench, link: Link, seconds: float) -> tuple[float, int]:
        """See Tool: every node's part is computed, made, read back and compared."""
        begun = time.perf_counter()
        plan = shaped(bench.net.plan, link)
        answers = bench.backend.call({rank: Task("apply", plan.node(rank)) for rank in range(plan.size)})
        took = time.perf_counter() - begun
        assert not any(isinstance(answer, Exception) or answer.mismatches for answer in answers.values())
        bench.net.reshape(lambda plan: shaped(plan, link))  # what is registered is what is
        return took, plan.size

    def change(self, bench: Bench, link: Link) -> float:
        """See Tool: ``harness link set``."""
        begun = time.perf_counter()
        command = bench.harness("link", "set", "0-1", "--one-way", "--delay", f"{link.delay_ms}ms", "--name", "bench")
        said = command.communicate(timeout=60)[1]
        assert command.returncode == 0, said.decode()
        return time.perf_counter() - begun

    def clear(self, bench: Bench) -> None:
        """See Tool."""


class Theirs:
    """A peer."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.name = peer.name

    def shape(self, bench: Bench, link: Link, seconds: float) -> tuple[float, int]:
        """See Tool: in one node after the other, or in as many at once as there are CPUs where nodes are many."""
        begun = time.perf_counter()

        def one(rank: int) -> bool:
            in_time = time.perf_counter() - begun < seconds
            if in_time:
                run(self.peer.shape(link, bench.neighbours(rank)))
            return in_time

        done = bench.backend.in_each(range(bench.net.plan.size), one)
        return time.perf_counter() - begun, sum(done.values())

    def change(self, bench: Bench, link: Link) -> float:
        """See Tool."""
        begun = time.perf_counter()
        bench.backend.in_each([0], lambda _: run(self.peer.change(link, bench.neighbours(0))))
        return time.perf_counter() - begun

    def clear(self, bench: Bench) -> None:
        """See Tool: by tc, whoever made the qdiscs."""
        bench.backend.in_each(range(bench.net.plan.size), lambda _: _clear())


def run(steps: Iterable[Step]) -> None:
    """Commands in this network namespace, one after the other. Raises where one fails."""
    for argv, text in steps:
        done = subprocess.run(argv, input=text, capture_output=True, text=True, timeout=120)
        if done.returncode:
            raise RuntimeError(f"{' '.join(argv)}: exit code {done.returncode}: {done.stderr.strip()}")


def _clear() -> None:
    run([words(f"tc qdisc del dev {DEVICE} root")] if left_here().qdiscs else [])


def shaped(plan: NetworkPlan, link: Link) -> NetworkPlan:
    """The same shape on every edge."""
    shape = LinkShape(
        delay=Time(link.delay_ms * 1_000_000),
        rate=Rate(link.rate_mbit * 10**6) if link.rate_mbit else None,
        loss=Ratio.parse(f"{link.loss_percent}%"),
    )
    return plan.changed([replace(edge, shape=shape) for edge in plan.edges.values()])


class Left(NamedTuple):
    """What a tool left."""

    qdiscs: int = 0
    filters: int = 0
    ifbs: int = 0

    def __str__(self) -> str:
        return ", ".join(f"{count} {name}" for name, count in self._asdict().items()) if any(self) else "nothing"


def count_left(shown: Mapping[str, str]) -> Left:
    """Of what ``tc qdisc show``, ``tc filter show`` and ``ip link show type ifb`` say, by the first's and last's words.

    Every interface has a qdisc without being asked for one: "noqueue" where it has no queue, else the kernel's own.
    """
    qdiscs = re.findall(r"^qdisc (\S+) (\S+):", shown["qdisc"], re.M)
    return Left(
        sum(handle != "0" for _, handle in qdiscs),
        len(re.findall(r"\bflowid ", shown["filter"])),
        len(re.findall(r"^\d+: ", shown["ifb"], re.M)),
    )


def left_here() -> Left:
    """In this network namespace."""
    asked = {"qdisc": "tc qdisc show", "filter": f"tc filter show dev {DEVICE}", "ifb": "ip link show type ifb"}
    return count_left(
        {what: subprocess.run(line.split(), capture_output=True, text=True).stdout for what, line in asked.items()}
    )
