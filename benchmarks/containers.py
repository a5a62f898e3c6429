"""Containers: from ``docker compose up`` to the first collective, and how long a reshape takes from outside.

Needs a Docker daemon with Compose v2 and the image (scripts/with-docker, scripts/build-image). The time that PyTorch
takes to be imported by all nodes at once is measured in the same run, and taken off.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Final

from benchmarks.report import Row, table

NODES: Final = 8
PROJECT: Final = "harness-bench"
HARNESS: Final = (sys.executable, "-m", "harness")
REPEATS: Final = 5
JOB: Final = "python -m harness.training.train --steps 1 --checkpoint-every 0"
IMAGE: Final = os.environ.get("IMAGE", "harness-node")
SUBNET6: Final = "fd78::/64"
NETWORK: Final = {"NODES": str(NODES), "TOPOLOGY": "ring", "PROFILE": "datacenter", "SUBNET": "10.78.0.0/16"}


def timed(*argv: str) -> float:
    """How long a command takes, in seconds. Raises where it fails."""
    began = time.perf_counter()
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    return time.perf_counter() - began


@contextmanager
def composed(variables: Mapping[str, str], *words: str) -> Iterator[float]:
    """A project that is up; the Unix time at which that was asked for."""
    env = {**os.environ, **NETWORK, "SUBNET6": SUBNET6, **variables}
    compose = ("docker", "compose", "--project-name", PROJECT)
    began = time.time()
    try:
        subprocess.run([*compose, "up", *words], env=env, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        yield began
    finally:
        subprocess.run([*compose, "down", "--timeout", "1"], env=env, check=True, stderr=subprocess.PIPE)


def first_collective(folder: Path) -> float:
    """Seconds from the command to the end of the first all_reduce, the import of PyTorch among them."""
    with composed({"COMMAND": JOB, "RUNS": str(folder)}) as began:
        records = map(json.loads, next(folder.glob("*/rank-0.jsonl")).read_text().splitlines())
        record = next(record for record in records if record["kind"] == "step")
        return float(record["time"]) - began


def in_all(code: str) -> float:
    """Seconds that all nodes take to run this at once."""
    return timed(*HARNESS, "exec", "--name", PROJECT, "all", "--", "python", "-c", code)


def outside() -> list[Row]:
    """What the command line takes, on a network that is up."""
    with composed({"COMMAND": ""}, "--detach", "--wait") as began:
        ready = time.time() - began
        torch = in_all("import torch.distributed") - in_all("pass")
        every = median(_set(PROJECT, "all", 10 + step) for step in range(REPEATS))
    return [
        Row(f"compose up --wait, {NODES} nodes: shaped and ready", f"{ready:.1f} s"),
        Row(f"import torch.distributed on {NODES} nodes at once", f"{torch:.1f} s"),
        Row(f"harness link set all, {2 * NODES} directed edges", f"{every:.2f} s", "< 2 s", every < 2),
    ]


def reshape(nodes: int) -> list[Row]:
    """How long it takes to change one link from outside, against the least that Docker's command does, in turns."""
    name = f"bench-{nodes}"
    options = ("--name", name)
    words = ("--nodes", str(nodes), "--topology", "ring", "--profile", "datacenter", "--image", IMAGE)
    timed(*HARNESS, "up", "--runtime", "docker", *words, "--subnet", NETWORK["SUBNET"], "--subnet6", SUBNET6, *options)
    try:
        turns = [
            (timed("docker", "exec", f"harness-{name}-node-1", "true"), _set(name, "0-1", 10 + step))
            for step in range(3 * REPEATS)
        ]
    finally:
        timed(*HARNESS, "down", *options)
    plain, ours = (median(times) for times in zip(*turns, strict=True))
    return [
        Row(f"{nodes} nodes: docker exec NODE true", f"{1000 * plain:.0f} ms"),
        Row(f"{nodes} nodes: harness link set 0-1", f"{1000 * ours:.0f} ms"),
        Row("  ours / docker", f"{ours / plain:.1f}", "<= 3", ours <= 3 * plain),
    ]


def _set(name: str, edges: str, milliseconds: int) -> float:
    return timed(*HARNESS, "link", "set", edges, "--delay", f"{milliseconds}ms", "--name", name)


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o777)
        whole = first_collective(Path(name))
    rows = outside()
    torch = float(rows[1].measured.split()[0])
    rest = whole - torch
    rows.insert(2, Row(f"compose up, {NODES} nodes, to the first collective", f"{whole:.1f} s"))
    rows.insert(3, Row("  without the import of PyTorch", f"{rest:.1f} s", "< 20 s", rest < 20))
    table(f"Containers ({os.cpu_count()} cores)", [*rows, *(row for nodes in (4, 16) for row in reshape(nodes))])
