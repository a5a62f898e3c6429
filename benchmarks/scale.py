"""How a network of namespaces grows: rings of 64, 256 and 1,000 nodes, and a mesh of 64.

    python -m benchmarks scale

Per network: the time and the CPU time of ``harness up`` (with what its processes have used until then), of one
``harness link set`` and of ``harness down``, and the memory that an idle node takes: its share of what the network's
processes hold (Pss), and of the kernel's own. ``HARNESS_SCALE=ring:64,mesh:64`` measures these; ``docker:64`` are
containers of an image without PyTorch (scripts/with-docker, scripts/build-image --without-torch).

Wall time and the kernel's memory are right on a quiet machine only; CPU time and Pss on any.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from benchmarks.report import Row, table
from harness.model.format import format_time

SIZES: Final = ("ring:64", "ring:256", "ring:1000", "mesh:64")
UP_SECONDS: Final = {"ring:256": 4.0, "ring:1000": 20.0}
NODE_MB: Final = 8.0
IMAGE: Final = os.environ.get("IMAGE", "harness-node:no-torch")
SUBNETS: Final = ("--subnet", "10.79.0.0/16", "--subnet6", "fd79::/64")
_TICKS: Final = os.sysconf("SC_CLK_TCK")


class Cost(NamedTuple):
    """What a command took, in seconds."""

    wall: float
    cpu: float

    def __str__(self) -> str:
        return f"{format_time(self.wall)}, CPU {format_time(self.cpu)}"


def command(folder: Path, *words: str) -> Cost:
    """Run a command of harness. Raises where it fails."""
    env = {**os.environ, "HARNESS_STATE_DIR": str(folder)}
    began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-m", "harness", *words], env=env, check=True, capture_output=True)
    after, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter() - began
    return Cost(wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def processes(root: int) -> Iterator[Path]:
    """The /proc folders of a process and of all that it has begotten."""
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:  # it has ended
            continue
        children.setdefault(int(fields[1]), []).append(int(folder.name))
    found = [root]
    for pid in found:
        found += children.get(pid, [])
        yield Path("/proc", str(pid))


def used(folder: Path) -> tuple[float, float]:
    """CPU seconds and MB (Pss) of the network's processes."""
    root = json.loads((folder / "scale.json").read_text())["handle"]["keeper"]["pid"]
    ticks = size = 0
    for process in processes(root):
        fields = (process / "stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
        size += sum(
            int(line.split()[1])
            for line in (process / "smaps_rollup").read_text().splitlines()
            if line.startswith("Pss:")
        )
    return ticks / _TICKS, size / 1024


def kernel() -> float:
    """MB that the kernel has for itself."""
    lines = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    return sum(int(lines[name].split()[0]) for name in ("Slab", "Percpu", "KernelStack", "PageTables")) / 1024


def settled() -> float:
    """The same, once what the last network had is given back: the kernel removes namespaces after ``down``."""
    now = kernel()
    for _ in range(20):
        time.sleep(1)
        before, now = now, kernel()
        if now > before - 1:
            break
    return now


def measure(spec: str) -> list[Row]:
    """One network, from up to down."""
    topology, size = spec.split(":")
    if topology == "docker":
        return [containers(size)]
    with tempfile.TemporaryDirectory() as name:
        folder, before = Path(name), settled()
        up = command(folder, "up", "-n", size, "-t", topology, "-p", "wan", "--name", "scale")
        try:
            cpu, pss = used(folder)
            each = (kernel() - before + pss) / int(size)
            change = command(folder, "link", "set", "0-1", "--delay", "30ms", "--name", "scale")
        finally:
            down = command(folder, "down", "--name", "scale")
    most = UP_SECONDS.get(spec)
    return [
        Row(
            f"{topology} of {size}: up",
            str(Cost(up.wall, up.cpu + cpu)),
            f"< {format_time(most)}" if most else "",
            up.wall < most if most else None,
        ),
        Row("  link set 0-1", str(change)),
        Row("  down", str(down)),
        Row("  memory per idle node", f"{each:.1f} MB", f"< {NODE_MB:g} MB", each < NODE_MB),
        Row("    of its processes (Pss)", f"{pss / int(size):.1f} MB"),
    ]


def containers(size: str) -> Row:
    """As many containers, from up to ready."""
    with tempfile.TemporaryDirectory() as name:
        folder, options = Path(name), ("--name", "scale", "--runtime", "docker", "--image", IMAGE)
        try:
            up = command(folder, "up", "-n", size, "-t", "ring", "-p", "wan", *options, *SUBNETS)
        finally:
            command(folder, "down", "--name", "scale")
    return Row(f"{size} containers: up", format_time(up.wall), "< 60 s", up.wall < 60)


def main() -> None:
    """Measure and print."""
    specs = os.environ.get("HARNESS_SCALE", ",".join(SIZES)).split(",")
    rows = [row for spec in specs for row in measure(spec)]
    table(f"Many nodes on one machine ({os.cpu_count()} cores)", rows)
