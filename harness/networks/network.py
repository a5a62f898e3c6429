"""One network from up to down, by protocols alone: create, shape, open, reshape, read back, remove."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from harness.backends.base import Backend, Progress, Task
from harness.backends.registration import Registration, Registry
from harness.errors import HarnessError, NetworkStateError, RecordError
from harness.linux import signals
from harness.model.link import Pair
from harness.model.plan import NetworkPlan
from harness.model.regions import RegionPair
from harness.model.status import CapStatus, EdgeStatus, NodeStatus, Stats
from harness.model.super_packets import max_segments
from harness.networks import probe_counts
from harness.networks.apply import apply_plan, readings, trunk_statuses
from harness.networks.away import AwayFile
from harness.networks.backends import find_backend
from harness.networks.plan_change import PlanChange
from harness.run_files import RunFolder

OLD_RATE_S: Final = 0.1
"""Seconds: shorter times are not reported, because a link's buffer is 50 ms or more."""


def _silent(_: str) -> None:
    """Report nothing."""


@dataclass(frozen=True)
class Reshaped:
    """The outcome of a reshape.

    Args:
        plan: the new plan.
        changed: the directed edges that have changed.
        seconds: how long the engine took to read, change and read back.
        segments_cut: whether the change made TCP send single packets in place of super-packets; connections that are
            already open continue with super-packets.
        old_rate_s: by edge, the seconds for which queued packets still leave at the old rate, where the engine cannot
            change that and it takes over OLD_RATE_S.
        nodes: the ranks whose uplink, downlink or CPU share has changed.
        trunks: the trunks that have changed, by (from, to).
    """

    plan: NetworkPlan
    changed: tuple[Pair, ...]
    seconds: float
    segments_cut: bool
    old_rate_s: Mapping[Pair, float] = field(default_factory=dict)
    nodes: tuple[int, ...] = ()
    trunks: tuple[RegionPair, ...] = ()


class Network:
    """A registered network; it is up where its backend is alive.

    Args:
        record: its registration.
        registry: where it is registered.
        backend: where its nodes live; None: the one of the registration.

    Raises:
        RecordError: the registration does not identify its nodes.
    """

    def __init__(self, record: Registration, registry: Registry, backend: Backend | None = None) -> None:
        self._record = record
        self.registry = registry
        self.backend = backend or find_backend(record)
        self.plan = record.network_plan

    @property
    def name(self) -> str:
        """Its name."""
        return self._record.name

    @property
    def engine(self) -> str:
        """The name of the engine that enforces its links."""
        return self._record.engine

    @classmethod
    def up(
        cls,
        name: str,
        plan: NetworkPlan,
        backend: Backend,
        registry: Registry,
        *,
        transient: bool = False,
        progress: Progress = _silent,
    ) -> Network:
        """Make a network: create nodes, shape them, let traffic flow. Removes everything where that fails.

        Raises:
            NetworkStateError: the name is taken.
            NodeError: a node refused.
        """
        with registry.lock(name):
            old = registry.load(name)
            if old is not None:
                left = find_backend(old)
                if left.alive:
                    how = "'harness run'" if old.transient else "'harness up'"
                    raise NetworkStateError(
                        f"network {name!r} is already up (from {how}); use it, remove it with"
                        f" 'harness down --name {name}', or give another --name"
                    )
                left.destroy()
                registry.remove(name)
            registry.record_in(name, None)  # a command that was killed may have left it
            backend.check(plan)
            try:
                backend.create(plan, progress)
                record = Registration(
                    name, backend.name, backend.engine.name, backend.handle, plan.to_json(), time.time(), transient
                )
                registry.save(record)
                progress(f"shaping {len(plan.edges)} directed edges")
                apply_plan(backend, plan)
                backend.open(plan)
                if not transient:
                    backend.keep()
            except BaseException as first:
                try:
                    backend.destroy()
                except Exception as second:
                    first.add_note(f"cleaning up failed too: {second}")
                finally:
                    registry.remove(name)
                raise
            return cls(record, registry, backend)

    def reshape(self, change: Callable[[NetworkPlan], NetworkPlan], at: float | None = None) -> Reshaped:
        """Change edges and caps in place, under the network's lock. Where a node refuses, all get their old values.

        Args:
            change: makes the new plan from the current one, which has the changes of other commands.
            at: when the change was due, in seconds from a scenario's start, for the record.

        Raises:
            NodeError: names node, edge and cause.
        """
        with self.registry.lock(self.name):
            current = self._registered(self._record)
            old = self.plan if current.plan == self._record.plan else current.network_plan
            new = change(old)
            difference = PlanChange(old, new)
            self.backend.check(new, old)
            most = max_segments(new.mtu)
            cut = (new.max_segments or most) < (old.max_segments or most)
            with signals.held():  # Ctrl-C waits until kernel and registration agree
                asked, started = time.time(), time.perf_counter()
                try:
                    found = apply_plan(self.backend, new, difference)
                    seconds = time.perf_counter() - started
                    acknowledged = asked + seconds  # also where somebody sets the clock meanwhile
                    if difference:
                        amendment = difference.amendment()
                        self._record = current.amended(amendment)
                        self.registry.amend(self._record, amendment)
                except BaseException as first:
                    try:
                        apply_plan(self.backend, old, difference)
                    except Exception as second:
                        if str(second) != str(first):  # e.g. the same node is gone, both times
                            first.add_note(f"going back to the old links failed too: {second}")
                    raise
                self.plan = new
                if difference and (folder := self.registry.recording(self.name, current.created)):
                    try:
                        difference.write(RunFolder(folder), asked, acknowledged, at)
                    except HarnessError as error:
                        raise HarnessError(
                            f"the links are changed, but the change could not be recorded: {error}"
                        ) from None
        edges, waits = tuple(sorted(difference.edges)), {}
        if self.backend.engine.fixes_departures:
            waits = _old_rate_s(old, new, edges, found)
        return Reshaped(new, edges, seconds, cut, waits, difference.nodes, difference.trunks)

    def observe(self, ranks: Iterable[int] | None = None) -> dict[int, NodeStatus]:
        """The statuses of nodes, by rank. Raises NodeError."""
        chosen = range(self.plan.size) if ranks is None else ranks
        return readings(self.backend.call({rank: Task("observe", self.plan.node(rank)) for rank in chosen}))

    def applied(self) -> dict[Pair, EdgeStatus]:
        """The applied shape and the counters of every directed edge. Raises NodeError."""
        return {pair: reading for node in self.observe().values() for pair, reading in node.edges.items()}

    def current(self) -> dict[Pair, EdgeStatus]:
        """As ``applied``, but under the network's lock, and with ``plan`` as other commands have left it.

        Raises:
            NetworkStateError: the network was removed meanwhile.
            NodeError: a node does not answer.
        """
        with self.registry.lock(self.name):
            self._record = self._registered()
            self.plan = self._record.network_plan
            return self.applied()

    def probed(self) -> dict[Pair, Stats]:
        """The traffic of verify in the counters of links, by directed edge."""
        return probe_counts.load(self.registry.probe_counts(self.name), self._record.created)

    def count_probes(self, added: Mapping[Pair, Stats]) -> None:
        """Note that verify has added this to the counters. Raises HarnessError."""
        with self.registry.lock(self.name):
            probe_counts.add(self.registry.probe_counts(self.name), self._created(), added)

    def registration(self) -> Registration:
        """The registration as of now. Raises NetworkStateError where the network was removed meanwhile."""
        with self.registry.lock(self.name):
            return self._registered()

    def _registered(self, known: Registration | None = None) -> Registration:
        current = self.registry.load(self.name, known)
        if current is None:
            raise NetworkStateError(f"network {self.name!r} was removed meanwhile")
        return current

    def _created(self) -> float:
        """When the network was created, by the registry: Docker's clock may differ from the time in ``_record``."""
        self._record = replace(self._record, created=self._registered().created)
        return self._record.created

    def record_in(self, folder: Path) -> None:
        """Record every reshape in changes.jsonl of this folder from now on. Raises HarnessError."""
        with self.registry.lock(self.name):
            self.registry.record_in(self.name, folder, self._created())

    def away(self) -> AwayFile:
        """The file that says which ranks are away, read from its present end on."""
        path = self.registry.away(self.name)
        return AwayFile(path, lambda: self.registry.recording(self.name, self._record.created))

    def trunks(self) -> dict[str, CapStatus]:
        """The applied limit and the counters of every trunk, by its name. Raises HarnessError."""
        if not self.plan.trunks:
            return {}
        if self.backend.engine.shapes_bridge:
            return trunk_statuses(self.backend.observe_trunks(self.plan))
        ranks = {self.backend.engine.enforced_at(pair) for trunk in self.plan.trunks for pair in trunk.edges}
        return trunk_statuses(*(node.caps for node in self.observe(sorted(ranks)).values()))

    def notes(self) -> list[str]:
        """What the engine reports to the user, e.g. a restart of its daemon; each text once. Raises NodeError."""
        return list(dict.fromkeys(text for node in self.observe().values() for text in node.notes))

    def down(self) -> None:
        """Remove the network and all that runs in it."""
        with self.registry.lock(self.name):
            self.backend.destroy()
            self.registry.remove(self.name)


def _old_rate_s(
    old: NetworkPlan, new: NetworkPlan, touched: Iterable[Pair], found: Mapping[int, NodeStatus]
) -> dict[Pair, float]:
    """See Reshaped.old_rate_s; computed from the bytes that were queued right after the change."""
    queued = {pair: edge.stats.backlog_bytes for node in found.values() for pair, edge in node.edges.items()}
    rated = (pair for pair in sorted(touched) if old.edges[pair].shape.rate != new.edges[pair].shape.rate)
    waits = {pair: old.edges[pair].shape.waiting_seconds(queued[pair]) for pair in rated if pair in queued}
    return {pair: seconds for pair, seconds in waits.items() if seconds > OLD_RATE_S}


def remove(name: str, registry: Registry, tell: Progress = _silent) -> bool:
    """Remove a network by name, or what a killed command left of it; whether there was anything.

    A registration that cannot be read is removed, and ``tell`` gets a message: its nodes can no longer be found.
    """
    with registry.lock(name):
        try:
            record = registry.load(name)
            backend = find_backend(record) if record else None
        except RecordError:
            tell(registry.unread.format(name=name))
            registry.remove(name)
            return True
        if backend is None and name not in registry.names():
            return False
        if backend:  # otherwise only files are left
            backend.destroy()
        registry.remove(name)
        return True
