"""The collectives that `harness bench` times: their data, and checks of their results.

Sizes are those of NVIDIA/nccl-tests (doc/PERFORMANCE.md, and src/sendrecv.cu for send_recv).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from harness.errors import HarnessError
from harness.training.bench_ranks import BenchRanks

WIDTH: Final = 4
"""Bytes of an element."""
NOTES: Final = {
    "reduce_scatter": "gloo has none of its own: torch runs an all_reduce and each rank keeps its part",
}
"""By PyTorch's ProcessGroupGloo.cpp; with torch 2.13.0, it moved 2 (n - 1) S bytes in all, like all_reduce."""


def moved_bytes(collective: str, asked: int, ranks: int) -> int:
    """The size in bytes that is moved when this size is asked for; see harness.training.bench."""
    if collective == "barrier":
        return 0
    step = WIDTH * (ranks if collective in ("all_gather", "reduce_scatter", "all_to_all") else 1)
    return max(asked // step, 1) * step


@dataclass(frozen=True)
class Case:
    """One collective, which can be run repeatedly.

    Args:
        prepare: fills the input and overwrites the output.
        run: runs the collective until this rank has its result.
        pairs: (output, expected output) after a run.
    """

    prepare: Callable[[], None]
    run: Callable[[], None]
    pairs: Callable[[], list[tuple[Any, Any]]]

    def check(self) -> None:
        """Raise HarnessError if the result is wrong."""
        for got, expected in self.pairs():
            wrong = (got != expected).nonzero()
            if len(wrong):
                place = int(wrong[0])
                raise HarnessError(
                    f"wrong result: element {place} is {got[place].item():g}, expected {expected[place].item():g}"
                )


def _all_reduce(ranks: BenchRanks, count: int) -> Case:
    own, data = ranks.numbers(count, ranks.rank), ranks.empty(count)
    return Case(lambda: data.copy_(own), lambda: ranks.dist.all_reduce(data), lambda: [(data, ranks.sum_of_all(count))])


def _broadcast(ranks: BenchRanks, count: int) -> Case:
    own, data = ranks.numbers(count, 7 + ranks.rank), ranks.empty(count)
    return Case(
        lambda: data.copy_(own), lambda: ranks.dist.broadcast(data, 0), lambda: [(data, ranks.numbers(count, 7))]
    )


def _all_gather(ranks: BenchRanks, count: int) -> Case:
    block = count // ranks.size
    own, out = ranks.numbers(block, ranks.rank), ranks.empty(count)
    gather = getattr(ranks.dist, "all_gather_single", None) or ranks.dist.all_gather_into_tensor
    return Case(
        lambda: out.fill_(-1), lambda: gather(out, own), lambda: [(out, ranks.blocks(block, lambda rank: rank))]
    )


def _reduce_scatter(ranks: BenchRanks, count: int) -> Case:
    block = count // ranks.size
    own, out = ranks.numbers(count, ranks.rank), ranks.empty(block)
    scatter = getattr(ranks.dist, "reduce_scatter_single", None) or ranks.dist.reduce_scatter_tensor
    first = ranks.rank * block
    return Case(
        lambda: out.fill_(-1),
        lambda: scatter(out, own),
        lambda: [(out, ranks.sum_of_all(count)[first : first + block])],
    )


def _all_to_all(ranks: BenchRanks, count: int) -> Case:
    block = count // ranks.size
    own = ranks.blocks(block, lambda dst: ranks.rank * ranks.size + dst)
    out = ranks.empty(count)
    return Case(
        lambda: out.fill_(-1),
        lambda: ranks.dist.all_to_all_single(out, own),
        lambda: [(out, ranks.blocks(block, lambda src: src * ranks.size + ranks.rank))],
    )


def _send_recv(ranks: BenchRanks, count: int) -> Case:
    after, before = (ranks.rank + 1) % ranks.size, (ranks.rank - 1) % ranks.size
    own, out = ranks.numbers(count, ranks.rank), ranks.empty(count)

    def run() -> None:
        ranks.exchange(own, out, after, before)

    return Case(lambda: out.fill_(-1), run, lambda: [(out, ranks.numbers(count, before))])


def _barrier(ranks: BenchRanks, _: int) -> Case:
    return Case(lambda: None, ranks.dist.barrier, list)


CASES: Final[dict[str, Callable[[BenchRanks, int], Case]]] = {
    "all_reduce": _all_reduce,
    "broadcast": _broadcast,
    "all_gather": _all_gather,
    "reduce_scatter": _reduce_scatter,
    "all_to_all": _all_to_all,
    "send_recv": _send_recv,
    "barrier": _barrier,
}
