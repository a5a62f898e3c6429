"""The links of a shaped network: change them, read what is requested and applied, and measure."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final, TypedDict, Unpack

from harness.api.arguments import PROFILE, StrPath, known_texts, whole, written
from harness.api.failures import warn
from harness.errors import NetworkStateError
from harness.model.link import LinkShape, Pair
from harness.model.plan import NetworkPlan
from harness.model.plan_edit import crossing, parse_pairs, set_down, shape_change, undirected
from harness.model.small_buckets import small_buckets
from harness.model.status import EdgeStatus, Stats
from harness.networks.network import Network, Reshaped
from harness.verify.plan import SECONDS
from harness.verify.rounds import MAX_PARALLEL
from harness.verify.verdict import Verdict
from harness.verify.verdict.capacity import CapVerdict


class ShapeTexts(TypedDict, total=False):
    """What ``set`` changes, written as for ``harness link set``: "120ms", "1%", "10mbit", "64KiB", "none"."""

    delay: str
    jitter: str
    distribution: str
    loss: str
    loss_correlation: str
    gilbert_elliott: str
    rate: str
    burst: str
    queue: str
    buffer: str
    overhead: str
    duplicate: str
    corrupt: str
    reorder: str
    limit: str
    delivery: str


class NetworkLinks:
    """The methods of ShapedNetwork for its links.

    Edges are written as on the command line: ``"0-1"``, ``"0-1,1-2"`` or ``"all"``; both directions, unless ``one_way``
    is True.
    """

    def __init__(self, network: Network) -> None:
        self._network: Final = network
        self._lock: Final = threading.RLock()
        """Held while the backend works: it is not thread-safe."""
        self._up = True

    @property
    def name(self) -> str:
        """Its name, for ``harness ... --name`` in another terminal."""
        return self._network.name

    @property
    def size(self) -> int:
        """The number of nodes."""
        return self._network.plan.size

    @property
    def plan(self) -> NetworkPlan:
        """Topology, routes and requested shapes, as of now."""
        return self._network.plan

    @property
    def runtime(self) -> str:
        """Where its nodes live: netns or docker."""
        return self._network.backend.name

    @property
    def engine(self) -> str:
        """What enforces its links: netem or userspace."""
        return self._network.engine

    def address(self, rank: int) -> str:
        """The IPv4 address of a node. Raises PlanError."""
        self.plan.require_rank(rank)
        return str(self.plan.addressing.ipv4(rank))

    def _require(self) -> Network:
        if not self._up:
            raise NetworkStateError(f"network {self.name!r} is down")
        return self._network

    def set(
        self,
        edges: str = "all",
        *,
        one_way: bool = False,
        profile: StrPath | None = None,
        seed: int | None = None,
        clear: bool = False,
        **shape: Unpack[ShapeTexts],
    ) -> Reshaped:
        """Change links in place while jobs run; no queued packet is lost. What is not given stays as it is.

        Args:
            edges: which links.
            one_way: only from A to B.
            profile: a name or YAML file, from which whole new shapes are drawn.
            seed: of that draw; None: the network's own.
            clear: whether to remove the links' old shapes first.
            shape: see ShapeTexts.

        Raises:
            InputError: an argument is wrong; nothing was changed.
            NodeError: a node refused; all links are as before.
        """
        texts = known_texts("set", shape, ShapeTexts)
        named = None if profile is None else written("profile", profile, PROFILE)
        drawn = None if seed is None else whole("seed", seed, 1)
        return self._reshape(shape_change(edges, texts, one_way=one_way, profile=named, seed=drawn, clear=clear))

    def link_down(self, edges: str, *, one_way: bool = False) -> Reshaped:
        """Make links drop every packet. Routes stay as they are: no traffic takes another path."""
        return self._reshape(lambda plan: set_down(plan, parse_pairs(edges, plan, one_way=one_way), True))

    def link_up(self, edges: str = "all", *, one_way: bool = False) -> Reshaped:
        """Set links up again, with their shape from before."""
        return self._reshape(lambda plan: set_down(plan, parse_pairs(edges, plan, one_way=one_way), False))

    def partition(self, groups: str) -> Reshaped:
        """Set links between groups down, e.g. of ``"0,1|2,3"``; ranks that are not named form one more group."""
        return self._reshape(lambda plan: set_down(plan, crossing(groups, plan), True))

    def heal(self) -> Reshaped:
        """Set every link up again."""
        return self.link_up()

    def _reshape(self, change: Callable[[NetworkPlan], NetworkPlan]) -> Reshaped:
        with self._lock:
            network = self._require()
            done = network.reshape(change)
        warnings = network.backend.engine.precision_warnings(done.plan.edges[pair] for pair in done.changed)
        for text in (*warnings, *small_buckets(done.plan, done.changed)):
            warn(text)
        return done

    def requested(self, edges: str = "all") -> dict[Pair, LinkShape]:
        """The requested shapes, by (src, dst)."""
        return {pair: self.plan.edges[pair].shape for pair in parse_pairs(edges, self.plan)}

    def applied(self, edges: str = "all") -> dict[Pair, LinkShape]:
        """The shapes that the engines report, by (src, dst). Raises NodeError."""
        return {pair: status.applied for pair, status in self._status(edges).items()}

    def stats(self, edges: str = "all") -> dict[Pair, Stats]:
        """The counters since the network started, by (src, dst). Raises NodeError."""
        return {pair: status.stats for pair, status in self._status(edges).items()}

    def _status(self, edges: str) -> dict[Pair, EdgeStatus]:
        pairs = parse_pairs(edges, self.plan)
        with self._lock:
            found = self._require().applied()
        return {pair: found[pair] for pair in pairs}

    def verify(self, edges: str = "all", *, seconds: float = SECONDS) -> list[Verdict | CapVerdict]:
        """Measure round trip, jitter, loss, rate and shared capacities by traffic, as ``harness verify`` does.

        Every verdict has ``ok``, ``quantity`` and ``place`` (``0->1``, ``node 2``, ``eu->us``).

        Args:
            edges: which links; each is measured in both directions.
            seconds: per edge; up to eight edges are measured at once.
        """
        from harness.verify.verification import verify

        pairs = undirected(parse_pairs(edges, self.plan))
        if not pairs:
            return []
        with self._lock:
            network = self._require()
            return verify(network, pairs, lambda *_: None, lambda _: None, seconds=seconds, parallel=MAX_PARALLEL)
