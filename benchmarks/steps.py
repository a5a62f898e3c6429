"""Scenarios that follow a job's steps: how long after a step the network is changed.

    python -m benchmarks steps                            nodes in namespaces, and in containers where there is Docker

A job of 20 ms per step; every tenth step changes all edges of the network, checked and read back.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import quantiles

from benchmarks.report import Row, table
from harness.model.format import format_time
from harness.networks.backends import DOCKER, NETNS

NODES, STEPS, STEP_S = 4, 400, 0.02
JOB = f"""
import os, time, harness
time.sleep(1)
for number in range(1, {STEPS} + 3):
    time.sleep({STEP_S})
    if os.environ["RANK"] == "1":
        harness.step(number)
        print("step", number, time.time(), flush=True)
"""
SCENARIO = """events:
  - {at: step 10, every: 20 steps, set: {edge: all, delay: 5ms}}
  - {at: step 20, every: 20 steps, set: {edge: all, delay: 9ms}}
"""


def run(runtime: str) -> Row:
    """One job."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "s.yaml").write_text(SCENARIO)
        words = ["run", "-n", str(NODES), "-t", "ring", "-p", "none", "--runtime", runtime]
        words += ["--name", f"steps-{time.time_ns()}", "--scenario", str(root / "s.yaml"), "--record", "--runs", folder]
        python = sys.executable if runtime == NETNS else "python3"
        argv = [sys.executable, "-m", "harness", *words, "--", python, "-c", JOB]
        done = subprocess.run(argv, capture_output=True, text=True)
        if done.returncode:
            return Row(f"{runtime}: {done.stderr.splitlines()[-1]}", "not run", "", False)
        said = (line.split()[-3:] for line in done.stdout.splitlines() if " step " in line)
        stamps = {int(number): float(at) for _, number, at in said}
        (changes,) = root.rglob("changes.jsonl")
        lines = [json.loads(line) for line in changes.read_text().splitlines()]
    after = [line["acknowledged"] - stamps[10 * number] for number, line in enumerate(lines, 1)]
    before = sum(line["acknowledged"] < stamps[10 * number + 2] for number, line in enumerate(lines, 1))
    return Row(
        f"{NODES} nodes ({runtime}), all edges at a step, acknowledged after",
        f"{format_time(quantiles(after)[1])}, at most {format_time(max(after))}; {before} of {len(after)} before n + 2",
        f"{2 * STEP_S * 1000:.0f} ms",
        before == len(after) == STEPS // 10,
    )


def main() -> None:
    """Run and print."""
    has_docker = shutil.which("docker") and not subprocess.run(["docker", "info"], capture_output=True).returncode
    table("Steps", [run(runtime) for runtime in (NETNS, *([DOCKER] if has_docker else []))])
