"""No shape, no cost: TCP between two nodes without limits, against a bare veth pair, in turns in one run."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from benchmarks.report import Row, table
from benchmarks.tcp import goodput
from harness.backends.base import Stdio
from harness.backends.netns.backend import NetnsBackend
from harness.linux import syscalls
from harness.linux.sysctls import TCP_SETTINGS
from harness.model.make_plan import make_plan
from harness.model.profile_file import load_profile
from harness.model.topology_names import build_topology
from harness.shaping.netem import NetemEngine

ROUNDS = 11
SECONDS = 1.0
STDIO = Stdio(subprocess.DEVNULL, subprocess.PIPE, None)


class BarePair:
    """Two namespaces with one veth pair between them; TCP has the same buffers and congestion control as in nodes."""

    def __init__(self) -> None:
        from pyroute2 import IPRoute

        home = os.open("/proc/self/ns/net", os.O_RDONLY)
        self._namespaces = []
        for _ in range(2):
            syscalls.unshare(syscalls.CLONE_NEWNET)
            self._namespaces.append(os.open("/proc/self/ns/net", os.O_RDONLY))
        with IPRoute() as ip:
            ip.link("add", ifname="eth0", kind="veth", peer={"ifname": "eth0", "net_ns_fd": self._namespaces[0]})
        for number, namespace in enumerate(self._namespaces):
            syscalls.setns(namespace, syscalls.CLONE_NEWNET)
            with IPRoute() as ip:
                index = ip.link_lookup(ifname="eth0")[0]
                ip.addr("add", index=index, address=f"10.78.0.{number + 1}", prefixlen=24)
                ip.link("set", index=index, state="up")
            for name, value in TCP_SETTINGS.items():
                Path("/proc/sys", name).write_text(value)
        syscalls.setns(home, syscalls.CLONE_NEWNET)
        os.close(home)

    def spawn(self, number: int, argv: Sequence[str]) -> subprocess.Popen[bytes]:
        """A program in one of them."""
        namespace = self._namespaces[number]
        return subprocess.Popen(
            argv, stdout=subprocess.PIPE, preexec_fn=lambda: syscalls.setns(namespace, syscalls.CLONE_NEWNET)
        )

    def close(self) -> None:
        """Let the kernel remove them."""
        for namespace in self._namespaces:
            os.close(namespace)


def main() -> None:
    """Measure and print."""
    plan = make_plan(build_topology("line", 2), load_profile("none"), 0)
    backend = NetnsBackend(NetemEngine())
    backend.create(plan, lambda _: None)
    pair = BarePair()
    try:
        backend.open(plan)
        ours, bare = [], []
        for _ in range(ROUNDS):
            bare.append(goodput(pair.spawn, "10.78.0.2", 0.3, SECONDS))
            ours.append(goodput(lambda r, a: backend.spawn(r, a, stdio=STDIO), "10.77.0.2", 0.3, SECONDS))
    finally:
        pair.close()
        backend.destroy()
    ratio = median(ours) / median(bare)
    table(
        f"No shape, no cost ({os.environ.get('WITH_NETEM', 'native')})",
        [
            Row("bare veth pair", f"{median(bare) / 1e9:.2f} Gbit/s"),
            Row("two nodes, profile none", f"{median(ours) / 1e9:.2f} Gbit/s"),
            Row("nodes / bare pair (medians, in turns)", f"{ratio:.2f}", ">= 0.90", ratio >= 0.9),
        ],
    )
