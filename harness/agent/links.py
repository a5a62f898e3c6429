"""The links of one container, which its agent shapes."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Collection
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path
from typing import Final

from harness.agent.cpu import own_cpu, with_cpu
from harness.agent.log import say
from harness.agent.protocol import PORT
from harness.agent.routes import drop_routes, forward, given_routes, set_routes
from harness.agent.user_rules import reserve
from harness.errors import NodeError
from harness.linux.tcp import tcp_counters
from harness.model.plan import NetworkPlan
from harness.model.status import NodeStatus
from harness.netlink.routes import Route
from harness.sampling.node import NodeSampler, sites
from harness.shaping.base import Engine
from harness.shaping.check_needs import check_needs
from harness.shaping.detect import in_place_features
from harness.shaping.needs import needs_of

_SUPERVISE: Final = (
    "import importlib, sys; importlib.import_module(sys.argv[1]).Supervisor({0: None}, int(sys.argv[2])).run(0)"
)


class NodeLinks:
    """The links and routes of one node.

    Args:
        plan: of the whole network.
        rank: of this node.
        engine: makes the links.
        congestion_control: of TCP to the other nodes.
    """

    def __init__(self, plan: NetworkPlan, rank: int, engine: Engine, congestion_control: str) -> None:
        self.plan, self.rank, self.engine = plan, rank, engine
        self._congestion_control = congestion_control
        self._routes: list[Route] = []
        self._given: list[Route] = []
        self._features: set[str] = set()
        self._made = False
        self._supervisor: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Turn on forwarding, and start the engine's daemon if it has one. Raises NodeError."""
        forward(self.plan, self.rank)
        self._given = given_routes()
        if why := reserve(PORT):
            say(f"a job could send messages to rank 0's agent: this kernel cannot filter packets by user ({why})")
        if self.engine.daemon_module:
            importlib.import_module(self.engine.daemon_module)
            root = Path(sys.modules["harness"].__path__[0]).parent
            argv = [sys.executable, "-I", "-S", "-c", f"import sys; sys.path.insert(0, {str(root)!r}); {_SUPERVISE}"]
            words = [self.engine.daemon_module, str(self.plan.size)]
            self._supervisor = subprocess.Popen([*argv, *words], stdin=subprocess.PIPE, start_new_session=True, cwd="/")

    @property
    def failed(self) -> str:
        """Why the links no longer work, if the engine's daemon has ended; otherwise empty."""
        if self._supervisor is None or self._supervisor.poll() is None:
            return ""
        return f"the process that looks after its links ended with code {self._supervisor.returncode}"

    @property
    def supervisor(self) -> int | None:
        """The process id of the engine's supervisor, if it has one."""
        return self._supervisor.pid if self._supervisor else None

    def shape(self) -> None:
        """Make all links and routes. Raises NodeError."""
        reading = self.apply()
        wrong = [(f"shape edge {src}->{dst}", what) for (src, dst), what in reading.mismatches]
        wrong += [(f"limit {cap}", what) for cap, what in reading.cap_mismatches if cap != "cpu"]  # Docker's, not ours
        for action, what in wrong:
            raise NodeError(self.rank, action, f"the engine accepted the change but reports something else: {what}")
        self._routes = set_routes(self.plan.node(self.rank), self._congestion_control, self._routes, self._given)

    def detach(self, ranks: Collection[int]) -> None:
        """Send nothing to these nodes until ``shape``: they have moved, and the links match their old addresses."""
        net = self.plan.addressing
        gone = {ip_network(net.address(rank, version)) for rank in ranks for version in net.versions}
        self._routes = drop_routes(self._routes, gone)

    def apply(self, touched: Collection[int] = ()) -> NodeStatus:
        """Change the links in place to what the plan says now. Raises NodeError, UnavailableError."""
        name = self.engine.name
        check_needs(self.plan, name, self.rank, self._features, in_place_features, instead=not self._made)
        self._features |= {need.feature for need in needs_of(self.plan, name, self.rank)}
        self._made = True  # from now on, probes must not touch what the links use
        return self._with_cpu(self.engine.apply(self.plan.node(self.rank), touched))

    def observe(self) -> NodeStatus:
        """Read the links' state. Raises NodeError."""
        return self._with_cpu(replace(self.engine.observe(self.plan.node(self.rank)), tcp=tcp_counters()))

    def _with_cpu(self, status: NodeStatus) -> NodeStatus:
        return with_cpu(status, self.plan.node_shape(self.rank).cpu, own_cpu())

    def sampler(self) -> NodeSampler:
        """A sampler of this node's counters and flows. Raises OSError, UnavailableError."""
        return NodeSampler(sites(self.plan, self.engine.name)[self.rank])
