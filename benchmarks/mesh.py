"""How long shaping takes: full meshes of 16 and 64 nodes, against ``tc -batch`` making the same trees in this run.

And what pyroute2 costs in it: its import, its messages, and the routes that it would encode.

Ours includes computing every node's part, and reading everything back and comparing; tc's is only
``tc -batch`` in every node, one process per node, from ready-made files.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from statistics import median

from pyroute2.netlink.rtnl.rtmsg import rtmsg
from pyroute2.netlink.rtnl.tcmsg import tcmsg

from benchmarks.report import Row, table
from harness.backends.base import Stdio, Task
from harness.backends.netns.backend import NetnsBackend
from harness.model.link import Pair
from harness.model.make_plan import make_plan
from harness.model.plan import NetworkPlan
from harness.model.profile_file import load_profile
from harness.model.topology_names import build_topology
from harness.model.units import ZERO_RATIO, Time
from harness.netlink.routes import Route
from harness.networks.network import Network
from harness.networks.registry import LocalRegistry
from harness.shaping import tc_messages, tc_read
from harness.shaping.netem import NetemEngine
from harness.shaping.node_tree import sender_tree
from harness.shaping.qdisc import EMPTY, Netem
from harness.shaping.qdisc_diff import AddBranch, AddFilter, AddRoot, Seal, SetUplink, diff
from tests.support.udp_flow import paced_flow

PACKETS = 3000
TARGETS = {16: 0.5, 64: 5.0}
ONE_LINK = 0.1 if os.environ.get("WITH_NETEM") == "uml" else 0.05
"""Seconds; a system call takes ten times as long in the guest."""


def _plan(nodes: int) -> NetworkPlan:
    return make_plan(build_topology("fully_connected", nodes), load_profile("wan"), 1)


def _up(nodes: int, folder: Path) -> tuple[NetnsBackend, NetworkPlan]:
    plan = _plan(nodes)
    backend = NetnsBackend(NetemEngine())
    backend.create(plan, lambda _: None)
    return backend, plan


def tc_batch(plan: NetworkPlan, rank: int) -> str:
    """The same tree in tc's words."""
    node, lines = plan.node(rank), []
    for action in diff(sender_tree(node), EMPTY):
        match action:
            case AddRoot():
                lines.append("qdisc add dev eth0 root handle 1: htb default ffff")
                lines += [
                    "filter add dev eth0 parent 1: protocol ipv6 prio 1 u32 match u32 0x86dd 0xffff at -4"
                    f" match u32 0x3aff 0xff00ffff at 4 match u8 {icmp_type} 0xff at 40 classid 1:0"
                    for icmp_type in (135, 136)
                ]
                lines.append(
                    "filter add dev eth0 parent 1: protocol arp prio 4 u32 match u32 0x806 0xffff at -4"
                    " match u32 0x10800 0xffffffff at 0 classid 1:0"
                )
            case SetUplink():
                lines.append(
                    "class add dev eth0 parent 1: classid 1:fffe htb rate 1099gbit ceil 1099gbit burst 20mb cburst 20mb"
                    " quantum 1514"
                )
            case Seal():
                lines.append("class add dev eth0 parent 1: classid 1:ffff htb rate 20gbit")
                lines.append("qdisc add dev eth0 parent 1:ffff handle 7fff: blackhole")
            case AddBranch(branch):
                classid = f"1:{branch.classid & 0xFFFF:x}"
                lines.append(
                    f"class add dev eth0 parent 1:fffe classid {classid} htb rate 20gbit ceil 20gbit burst 400000"
                    " cburst 400000 quantum 60000"
                )
                line, queue = branch.stages
                lines.append(_netem(classid, branch.netem_handle, line))
                lines.append(_netem(f"{branch.netem_handle >> 16:x}:", branch.queue_handle, queue))
            case AddFilter(prefix, neighbour):
                protocol, match = ("ip", "ip") if prefix.version == 4 else ("ipv6", "ip6")
                lines.append(
                    f"filter add dev eth0 parent 1: protocol {protocol} prio {tc_messages.PRIORITY[prefix.version]} u32"
                    f" match {match} dst {prefix} classid 1:{neighbour + 1:x}"
                )
    return "\n".join(lines) + "\n"


def _netem(parent: str, handle: int, netem: Netem) -> str:
    rate = f" rate {netem.rate_byte_s * 8}bit" if netem.rate_byte_s else ""
    return (
        f"qdisc add dev eth0 parent {parent} handle {handle >> 16:x}: netem limit {netem.limit}"
        f" delay {netem.delay_ns / 1e3:.1f}us {netem.jitter_ns / 1e3:.1f}us loss {netem.loss / (2**32 - 1) * 100:.6f}%"
        f"{rate}"
    )


def shape_mesh(nodes: int) -> list[Row]:
    """Time both ways of making one mesh's trees, each on fresh namespaces."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        backend, plan = _up(nodes, folder)
        try:
            start = time.perf_counter()
            answers = backend.call({rank: Task("apply", plan.node(rank)) for rank in range(nodes)})
            ours = time.perf_counter() - start
            assert not any(isinstance(a, Exception) or a.mismatches for a in answers.values())
        finally:
            backend.destroy()
        backend, plan = _up(nodes, folder)
        try:
            files = []
            for rank in range(nodes):
                files.append(folder / str(rank))
                files[-1].write_text(tc_batch(plan, rank))
            start = time.perf_counter()
            codes = backend.in_each(
                range(nodes), lambda rank: subprocess.run(["tc", "-batch", str(files[rank])]).returncode
            )
            theirs = time.perf_counter() - start
            assert not any(codes.values()), codes
        finally:
            backend.destroy()
    edges = len(plan.edges)
    return [
        Row(
            f"shape a mesh of {nodes} ({edges} directed edges)",
            f"{ours:.2f} s",
            f"< {TARGETS[nodes]} s",
            ours < TARGETS[nodes],
        ),
        Row("  tc -batch, the same trees", f"{theirs:.2f} s", "", None),
        Row("  ours / tc", f"{ours / theirs:.2f}", "<= 1", ours <= theirs),
    ]


def reshape(nodes: int = 16) -> list[Row]:
    """Time changes of a mesh that is up; then the same ones while a paced UDP flow crosses the first link."""
    plan = _plan(nodes)
    clean = {pair: replace(edge, shape=edge.shape.changed(loss=ZERO_RATIO)) for pair, edge in plan.edges.items()}
    with tempfile.TemporaryDirectory() as name:
        backend = NetnsBackend(NetemEngine())
        net = Network.up("bench", plan.changed(clean.values()), backend, LocalRegistry(Path(name)))
        one: list[float] = []
        every: list[float] = []

        def delayed(step: int, pairs: Sequence[Pair]) -> Callable[[NetworkPlan], NetworkPlan]:
            delay = Time((50 + 10 * (step % 2)) * 1_000_000)
            return lambda p: p.changed(
                [replace(p.edges[pair], shape=p.edges[pair].shape.changed(delay=delay)) for pair in pairs]
            )

        def spawn(rank: int, argv: Sequence[str]) -> subprocess.Popen[bytes]:
            return backend.spawn(rank, argv, stdio=Stdio(subprocess.DEVNULL, subprocess.PIPE, None))

        try:
            kinds = (([(0, 1), (1, 0)], one), (list(net.plan.edges), every))
            for step in range(10):
                for pairs, times in kinds:
                    start = time.perf_counter()
                    net.reshape(delayed(step, pairs))
                    times.append(time.perf_counter() - start)
            with paced_flow(spawn, str(plan.addressing.ipv4(1)), PACKETS, 0.002) as flow:
                for step in range(10):
                    for pairs, _ in kinds:
                        net.reshape(delayed(step, pairs))
        finally:
            net.down()
    edges = nodes * (nodes - 1)
    lost = PACKETS - flow[0]
    return [
        Row(
            f"reshape one link of {nodes} nodes",
            f"{median(one) * 1e3:.0f} ms",
            f"< {ONE_LINK * 1e3:.0f} ms",
            median(one) < ONE_LINK,
        ),
        Row(f"reshape all {edges} directed edges", f"{median(every) * 1e3:.0f} ms", "< 500 ms", median(every) < 0.5),
        Row(f"lost of {PACKETS} UDP packets across 20 reshapes", str(lost), "0", lost == 0),
    ]


def _microseconds(work: Callable[[], object], times: int = 500) -> float:
    """The shortest of five averages."""
    averages = []
    for _ in range(5):
        start = time.perf_counter()
        for _ in range(times):
            work()
        averages.append((time.perf_counter() - start) / times)
    return min(averages) * 1e6


def pyroute2_costs() -> list[Row]:
    """Why shaping packs netem's options in one pass, and why netlink/routes.py has bytes of its own."""
    netem = Netem(delay_ns=20_000_000, jitter_ns=1_000_000, limit=500, loss=4000, rate_byte_s=10**7, seed=2**63)

    def encode() -> bytes:
        return tc_messages.request(36, 0, 2, 1 << 16, 2, "netem", tc_messages.netem(netem, fresh=True)).body

    def by_attribute() -> None:
        """The attributes that pyroute2 knows: five of the eight."""
        made = tcmsg()
        known: list[list[object]] = [["TCA_NETEM_CORR", {}], ["TCA_NETEM_REORDER", {}], ["TCA_NETEM_CORRUPT", {}]]
        known.append(["TCA_NETEM_RATE", {"rate": netem.rate_byte_s}])
        made["attrs"] = [["TCA_KIND", "netem"], ["TCA_OPTIONS", {"delay": 1, "limit": 500, "attrs": known}]]
        made.encode()

    def pyroute2_route() -> None:
        made = rtmsg()
        made.update(family=2, dst_len=32, table=254, proto=4, scope=0, type=1)
        metrics = {"attrs": [["RTAX_CC_ALGO", "cubic"]]}
        made["attrs"] = [["RTA_DST", "10.0.0.9"], ["RTA_OIF", 2], ["RTA_GATEWAY", "10.0.0.2"], ["RTA_METRICS", metrics]]
        made.encode()

    body = memoryview(encode())
    route = Route(IPv4Network("10.0.0.9"), IPv4Address("10.0.0.2"), 2, "cubic")
    loads = [_run_python(words) for words in ("import pyroute2", "import harness.shaping.tc_plugin", "pass")]
    micros: dict[str, Callable[[], object]] = {
        "encode a netem": encode,
        "  the half of it that pyroute2 knows, attribute by attribute": by_attribute,
        "decode a netem": lambda: tc_read.read_netem(body),
        "encode a route by pyroute2": pyroute2_route,
        "  by netlink/routes.py": route.add,
    }
    rows = [
        Row("import pyroute2", f"{(loads[0] - loads[2]) * 1e3:.0f} ms"),
        Row("  its message classes, as we do", f"{(loads[1] - loads[2]) * 1e3:.0f} ms"),
    ]
    return rows + [Row(what, f"{_microseconds(work):.0f} us") for what, work in micros.items()]


def _run_python(words: str) -> float:
    """Seconds that Python takes for this; the shortest of three."""
    times = []
    for _ in range(3):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", words], check=True)
        times.append(time.perf_counter() - start)
    return min(times)


def main() -> None:
    """Measure and print."""
    rows = [row for nodes in TARGETS for row in shape_mesh(nodes)] + reshape() + pyroute2_costs()
    table(f"Shaping ({os.environ.get('WITH_NETEM', 'native')}, {os.cpu_count()} cores)", rows)
