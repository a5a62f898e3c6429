"""Hand-written stand-ins for the kernel and for namespaces; the contract suites run on them and on the real ones."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import ClassVar, Literal

from harness.errors import HarnessError, InputError, NodeError
from harness.model.status import CapStatus, CpuStatus, Stats
from harness.shaping.node_tree import tree_of
from harness.shaping.qdisc import EMPTY, PASS, Tree
from harness.shaping.qdisc_diff import AddBranch, AddFilter, AddRoot, AddTbf, Change, MoveFilter, Seal, diff
from harness.shaping.readback import node_status
from tests.support.plans import network


class FakeEngine:
    """Holds each node's tree in memory. ``refuse`` names edges that it will not make.

    Args:
        end: where it makes an edge, at its sender (src) or at its receiver (dst).

    ``wrong_caps`` names uplinks, downlinks and trunks that it reports as missing, ``refuse_caps`` ranks whose limits it
    will not make.
    """

    name = "fake"
    daemon_module = None
    kernel_stamps = True
    cuts_super_packets = False
    fixes_departures = True

    def __init__(self, end: Literal["src", "dst"] = "src"):
        self.end, self.shapes_bridge = end, end == "src"
        self.serves_deliveries = end == "dst"
        self.trees: dict[int, Tree] = {}
        self.refuse: set[tuple[int, int]] = set()
        self.log: list[object] = []
        self.caps = {}
        self.trunks = ()
        self.refuse_caps: set[int] = set()
        self.wrong_caps: set[str] = set()
        self.stats = Stats()

    def enforced_at(self, edge):
        return edge[0] if self.end == "src" else edge[1]

    def check(self, plan):
        pass

    def precision_warnings(self, edges):
        return []

    def another(self):
        return self

    def close(self):
        pass

    def begin(self, node, touched=()):
        status = self.apply(node, touched)
        return lambda: status

    def apply(self, node, touched=()):
        desired, tree = self._desired(node), self.trees.get(node.rank, EMPTY)
        edges = {port.neighbour: port.edge for port in self._ports(node)}
        branches, filters, passing = dict(tree.branches), dict(tree.filters), dict(tree.passing)
        rooted, sealed = tree.rooted, tree.sealed
        for action in diff(desired, tree, touched):
            self.log.append((node.rank, action))
            match action:
                case AddRoot():
                    rooted = True
                case AddBranch(branch) | AddTbf(branch) | Change(branch):
                    if edges[branch.neighbour].pair in self.refuse:
                        raise NodeError(node.rank, f"shape edge {edges[branch.neighbour]}", "refused")
                    branches[branch.neighbour] = branch
                case Seal():
                    sealed = True
                case AddFilter(prefix, neighbour) if neighbour == PASS:
                    passing[prefix] = 1
                case AddFilter(prefix, neighbour) | MoveFilter(prefix, neighbour, _):
                    assert neighbour in branches, "a filter before its branch lets packets into nowhere"
                    filters[prefix] = neighbour
                    passing.pop(prefix, None)
            self.trees[node.rank] = Tree(rooted, dict(branches), dict(filters), (), dict(passing), sealed)
        caps = node.shape.present
        if not self.shapes_bridge:
            crossed = {port.trunk for port in node.ingress}
            caps |= {f"trunk {trunk.name}": trunk.capacity for trunk in node.trunks if trunk.name in crossed}
        if caps != self.caps.get(node.rank, {}):
            if node.rank in self.refuse_caps:
                raise NodeError(node.rank, "limit it", "refused")
            self.log.append((node.rank, sorted(caps)))
            self.caps[node.rank] = caps
        return self.observe(node)

    def observe(self, node):
        tree = self.trees.get(node.rank, EMPTY)
        found = node_status(self._ports(node), self._desired(node), tree, dict.fromkeys(tree.branches, self.stats))
        caps = self.caps.get(node.rank, {})
        wrong = [(name, "there is none") for name in caps if name in self.wrong_caps]
        held = {name: CapStatus(cap, self.stats) for name, cap in caps.items()}
        return replace(found, caps=held, cap_mismatches=tuple(wrong))

    def apply_trunks(self, plan):
        self.trunks = plan.trunks
        return self.observe_trunks(plan)

    def observe_trunks(self, plan):
        made = {f"trunk {trunk.name}": CapStatus(trunk.capacity, self.stats) for trunk in self.trunks}
        return {name: status for name, status in made.items() if name not in self.wrong_caps}

    def _ports(self, node):
        return node.egress if self.end == "src" else node.ingress

    def _desired(self, node):
        return tree_of(node, self._ports(node))


class FakeSampling:
    """Samples nothing; a test may say what its messages are."""

    def __init__(self, events):
        self.events = events
        self.said = ["a message"]

    def messages(self):
        said, self.said = self.said, []
        return said

    def stop(self):
        self.events.append("stop sampling")
        return self.messages()


class FakeBackend:
    """Nodes that are nothing but their tasks, and what they hold of a CPU.

    ``wrong_cpus`` are ranks that hold no share of one, whatever is asked for.
    """

    name = "fake"
    living: ClassVar[set[int]] = set()

    def __init__(self, engine, handle=None):
        self.engine = engine
        self.number = handle["number"] if handle else 0
        self.events: list[str] = []
        self.refuses = ""
        self.cpus = {}
        self.wrong_cpus: set[int] = set()

    @property
    def handle(self):
        return {"number": self.number}

    @property
    def alive(self):
        return self.number in FakeBackend.living

    def check(self, plan, before=None):
        if self.refuses:
            raise InputError(self.refuses)

    def create(self, plan, progress):
        self.number = max(FakeBackend.living, default=0) + 1
        FakeBackend.living.add(self.number)
        progress("making")
        self.events.append("create")

    def open(self, plan):
        self.events.append("open")

    def keep(self):
        self.events.append("keep")

    def call(self, tasks):
        self.events.append(f"call {next(iter(tasks.values())).action}" if tasks else "call nothing")
        answers = {}
        for rank, task in tasks.items():
            try:
                answers[rank] = self._with_cpu(task, task.begin(self.engine)())
            except HarnessError as error:
                answers[rank] = error
        return answers

    def _with_cpu(self, task, status):
        rank, share = task.node.rank, task.node.shape.cpu
        if task.action == "apply" and (share or rank in self.cpus):
            self.cpus[rank] = None if rank in self.wrong_cpus else share
        return status.with_cpu(CpuStatus(self.cpus[rank], 0.5), share) if rank in self.cpus else status

    def machines(self):
        return None

    def apply_trunks(self, plan):
        self.events.append("apply trunks")
        return self.engine.apply_trunks(plan)

    def observe_trunks(self, plan):
        return self.engine.observe_trunks(plan)

    def sample(self, plan, folder, attempt):
        self.events.append(f"sample {folder} {attempt}")
        return FakeSampling(self.events)

    def destroy(self):
        self.events.append("destroy")
        FakeBackend.living.discard(self.number)


class FakeNetwork:
    """A Network of two nodes, of which everything that is asked of it works but what shall not.

    Args:
        backend: its name.
        refuses: why it cannot be sampled.
    """

    plan = network("line", 2)
    engine = "fake"

    def __init__(self, backend="netns", refuses=None):
        self.backend = SimpleNamespace(name=backend, sample=self._sample)
        self.sampling = FakeSampling([])
        self.sampling.said = []
        self.sampled = None
        self.recorded_in = None
        self._refuses = refuses

    def _sample(self, plan, folder, attempt):
        if self._refuses:
            raise HarnessError(self._refuses)
        self.sampled = plan, folder, attempt
        return self.sampling

    def record_in(self, folder):
        self.recorded_in = folder
