"""Work in the network namespaces of nodes: this process enters them, or forked workers do."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, TypeVar

from harness.backends.netns.namespaces import Keeper
from harness.errors import NodeError
from harness.linux import host, signals, syscalls
from harness.linux.fork import forked, forked_all

T = TypeVar("T")
_NODES_OF_A_WORKER: Final = 24
"""The fewest nodes that are worth a forked worker, which costs as much as two or three nodes."""


def spread(keeper: Keeper, ranks: Sequence[int], visit: Callable[[Sequence[int]], dict[int, T]]) -> dict[int, T]:
    """Call ``visit`` for these nodes, for many in one forked worker per CPU; see away for few."""
    workers = min(len(os.sched_getaffinity(0)), len(ranks) // _NODES_OF_A_WORKER)
    if workers < 2:
        return away(keeper, lambda: visit(ranks))
    with signals.held():
        found = forked_all([partial(visit, ranks[number::workers]) for number in range(workers)])
    return {rank: answer for part in found for rank, answer in part.items()}


def tour(keeper: Keeper, ranks: Sequence[int], works: Sequence[Callable[[int, Any], Any]], what: str) -> dict[int, Any]:
    """Do each work in every node before the next work begins, which gets what the one before returned there."""
    answers = dict[int, Any]()
    with keeper.namespaces(ranks) as namespaces:
        keeper.enter_user()
        for work in works:
            for rank, namespace in zip(ranks, namespaces, strict=True):
                try:
                    syscalls.setns(namespace, syscalls.CLONE_NEWNET)
                    answers[rank] = work(rank, answers.get(rank))
                except OSError as problem:
                    raise NodeError(rank, what, host.explain(problem)) from None
    return answers


def in_bridge(keeper: Keeper, work: Callable[[], T]) -> T:
    """Do something in the bridge's network namespace. Raises what it raises."""

    def visit() -> T:
        bridge = keeper.open(f"fd/{keeper.bridge}")
        try:
            keeper.enter_user()
            syscalls.setns(bridge, syscalls.CLONE_NEWNET)
        finally:
            os.close(bridge)
        return work()

    return away(keeper, visit)


def away(keeper: Keeper, work: Callable[[], T]) -> T:
    """Do something that enters other network namespaces, and return to ours.

    Root does it itself, which saves a fork, and defers signals until it is back. Rootless, a forked child does it,
    because a process cannot leave the keeper's user namespace again.
    """
    if keeper.rootless:
        return forked(work)
    with signals.held():
        home = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            return work()
        finally:
            syscalls.setns(home, syscalls.CLONE_NEWNET)
            os.close(home)
