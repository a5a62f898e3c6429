"""What is predicted of jobs, against what is measured: 2 strategies x 3 networks x 2 periods, in namespaces.

Each job sleeps for its time of computing and sends what its model would; the error is of the time per step. Target: a
median error under 17 %, ASTRA-sim's geometric mean error against nccl-tests.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any, Final

from benchmarks.report import Row, table

TARGET: Final = 0.17
PARAMETERS: Final = "300k"
STEP: Final = "30ms"
STRATEGIES: Final = ("diloco", "streaming-diloco")
PERIODS: Final = (4, 16)
NETWORKS: Final[dict[str, tuple[str, list[str]]]] = {
    "4 nodes, 20 ms, uplinks of 40 Mbit/s": ("delay: 20ms\n", ["-n", "4", "--uplink", "40mbit"]),
    "ring of 5, 10 ms, 30 Mbit/s": ("delay: 10ms\nrate: 30mbit\n", ["-n", "5", "-t", "ring"]),
    "4 nodes, 15 ms, 50 Mbit/s, 0.5 % lost": ("delay: 15ms\nrate: 50mbit\nloss: 0.5%\n", ["-n", "4"]),
}


def _cell(strategy: str, period: int, network: str, folder: Path) -> dict[str, Any]:
    text, words = NETWORKS[network]
    profile = folder / "profile.yaml"
    profile.write_text(text)
    argv = [sys.executable, "-m", "harness", "predict", "--measure", "--json", "--name", f"predict-{os.getpid()}"]
    argv += ["--parameters", PARAMETERS, "--step-time", STEP, "--strategy", strategy, "-o", f"H={period}"]
    done = subprocess.run([*argv, "-p", str(profile), *words], capture_output=True, text=True, timeout=300, check=False)
    if done.returncode:
        sys.exit(f"predict: {strategy} H={period} on {network}: {done.stderr.strip()[-300:]}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def main() -> None:
    """Measure and print."""
    rows, errors = [], []
    with tempfile.TemporaryDirectory() as folder:
        for strategy, network, period in product(STRATEGIES, NETWORKS, PERIODS):
            found = _cell(strategy, period, network, Path(folder))
            predicted, measured = found["seconds_per_step"], found["measured"]["seconds_per_step"]
            errors.append(abs(predicted / measured - 1))
            told = f"{predicted * 1e3:.1f} ms, measured {measured * 1e3:.1f} ms, {predicted / measured - 1:+.0%}"
            rows.append(Row(f"{strategy} H={period}, {network}", told))
    middle = median(errors)
    rows.append(Row("median error of the time per step", f"{middle:.1%}", f"under {TARGET:.0%}", middle < TARGET))
    table("Predicted and measured time per step", rows)
