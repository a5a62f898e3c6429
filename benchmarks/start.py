"""How long the command takes to start: ``harness --help`` and ``harness plan``, beside ``python -c pass``.

    python -m benchmarks.start [RUNS]

The runs alternate, so that what else the machine does meets all alike. Printed: the least and the median wall time of
each, and its least as a multiple of Python's own.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from typing import Final

COMMANDS: Final = {
    "python -c pass": ["-c", "pass"],
    "harness --help": ["-m", "harness", "--help"],
    "harness plan": ["-m", "harness", "plan"],
    "harness plan -t ring": ["-m", "harness", "plan", "-t", "ring"],
}


def seconds(arguments: list[str]) -> float:
    """Wall time of one run of this Python."""
    started = time.perf_counter()
    subprocess.run([sys.executable, *arguments], stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - started


def main(runs: int) -> None:
    """Measure and print."""
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for turn in range(runs + 1):
        for name, arguments in COMMANDS.items():
            taken = seconds(arguments)
            if turn:  # the first one may compile
                times[name].append(taken)
    python = min(times["python -c pass"])
    print(f"{'command':22} {'least':>9} {'median':>9} {'x python':>9}")
    for name, found in times.items():
        least, median = min(found), statistics.median(found)
        print(f"{name:22} {least * 1e3:6.0f} ms {median * 1e3:6.0f} ms {least / python:9.1f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 15)
