"""How long the command takes to start: ``harness --help`` and ``harness plan``, beside ``python -c pass``.

    python -m benchmarks startup

The runs alternate, so that what else the machine does meets all alike. Printed: the median wall time of each, and its
multiple of Python's own.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from typing import Final

from benchmarks.report import Row, table
from harness.model.format import format_factor, format_time

RUNS: Final = 15
PYTHON: Final = "python -c pass"
COMMANDS: Final = {PYTHON: (["-c", "pass"], None)} | {
    f"harness {words}": (["-m", "harness", *words.split()], target)
    for words, target in (
        ("--help", 0.15),
        ("plan -n 4 -t ring", 0.3),
        ("plan -n 4 -t star", 0.3),
        ("plan -n 4 -t mesh", 0.3),
    )
}
"""By name: the arguments of this Python, and the most seconds that it may take."""


def seconds(arguments: list[str]) -> float:
    """Wall time of one run of this Python."""
    started = time.perf_counter()
    subprocess.run([sys.executable, *arguments], stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - started


def main() -> None:
    """Measure and print."""
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for turn in range(RUNS + 1):
        for name, (arguments, _) in COMMANDS.items():
            taken = seconds(arguments)
            if turn:  # the first one may compile
                times[name].append(taken)
    median = {name: statistics.median(found) for name, found in times.items()}
    rows = []
    for name, (_, most) in COMMANDS.items():
        target, reached = ("", None) if most is None else (f"< {format_time(most)}", median[name] < most)
        rows.append(Row(name, format_time(median[name]), target, reached))
        if most is not None:
            rows.append(Row("  that / python -c pass", format_factor(median[name] / median[PYTHON])))
    table(f"Start, medians of {RUNS}", rows)
