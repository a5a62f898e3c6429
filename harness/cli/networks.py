"""Finding the network that a verb is about, and the parts that make one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from harness.cli.output import note
from harness.engine.base import Engine
from harness.engine.make import make_engine
from harness.errors import InputError, RecordError
from harness.plan import NetworkPlan, Pair
from harness.runtime.base import Runtime
from harness.runtime.netns import NetnsRuntime
from harness.session import Network
from harness.store import Record, Store


def check_engine(name: str) -> None:
    """Raise InputError where --engine knows no such name."""
    if name != "auto":
        make_engine(name)


def make_runtime(name: str, engine: Engine, congestion_control: str) -> Runtime:
    """A runtime by name. Raises InputError."""
    if name != NetnsRuntime.name:
        raise InputError(f"--runtime {name!r} is unknown; there is: {NetnsRuntime.name}")
    return NetnsRuntime(engine, congestion_control)


def find_runtime(record: Record) -> Runtime:
    """The runtime of a recorded network. Raises RecordError where the record does not say which it is."""
    try:
        return NetnsRuntime.from_handle(record.handle, make_engine(record.engine))
    except (RecordError, InputError) as error:
        raise RecordError(f"network {record.name!r}: {error}; run 'harness down --name {record.name}'") from None


def find_network(name: str) -> Network:
    """The network of that name. Raises NetworkStateError."""
    return Network.find(name, Store(), find_runtime)


@contextmanager
def watched(network: Network) -> Iterator[None]:
    """Tell at the end of the block what happened to the engine during it: results may have felt that."""
    before = set(network.notes())
    yield
    for text in network.notes():
        if text not in before:
            note(text)


def parse_pairs(text: str, plan: NetworkPlan, *, one_way: bool = False) -> list[Pair]:
    """The directed edges that ``A-B``, ``A-B,C-D`` or ``all`` stands for, both directions unless one way (A to B).

    Raises:
        InputError: it is none of these.
        PlanError: an unknown rank or edge.
    """
    if text == "all":
        return sorted(plan.edges)
    pairs: list[Pair] = []
    for word in text.split(","):
        a, dash, b = word.strip().partition("-")
        if not (dash and a.isdecimal() and b.isdecimal()):
            raise InputError(f"{word!r} is no edge; write A-B with two ranks, e.g. 0-1, or several as 0-1,1-2, or all")
        there, back = plan.edge(int(a), int(b)), plan.edge(int(b), int(a))
        pairs += [there.pair] if one_way else [there.pair, back.pair]
    return pairs
