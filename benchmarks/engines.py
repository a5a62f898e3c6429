"""Do both engines make the same links? The same shapes by the kernel (netem) and in user space, side by side.

    python -m benchmarks engines                                  all that this machine can run, as one table
    python -m benchmarks.engines [--only PART] [--seed NUMBER]    some of it, or other draws of what happens by chance
    python -m benchmarks.engines --engine NAME [--json]           one engine, on the running kernel

Where the running kernel has no netem, netem runs under scripts/with-netem, a User-Mode Linux guest with one CPU that is
several times slower; the userspace engine then runs natively, and also there where the guest's kernel has its queues.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Collection
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.links import PARTS, measure, note
from benchmarks.report import Row, side_by_side, table
from harness.errors import HarnessError
from harness.shaping.detect import choose_engine, features, works
from harness.shaping.facts import ENGINES, NETEM, USERSPACE


def compare(only: Collection[str], seed: int = 0) -> None:
    """Every engine wherever it runs, each in a process of its own, in one table."""
    here = "UML" if os.environ.get("WITH_NETEM") == "uml" else "native"
    places: list[tuple[str, str, list[str]]] = [(NETEM, here, []), (USERSPACE, here, [])]
    if not works(NETEM, features()):
        guest = [str(Path(__file__).parents[1] / "scripts" / "with-netem")]
        places = [(NETEM, "UML", guest), (USERSPACE, "UML", guest), (USERSPACE, here, [])]
    columns, left_out = {}, []
    for number, (engine, place, prefix) in enumerate(places, 1):
        column = f"{engine} ({place})"
        note(f"{number} of {len(places)}: {column}, which takes some 3 minutes")
        options = ["--engine", engine, "--json", "--seed", str(seed), "--only", *only]
        done = subprocess.run([*prefix, sys.executable, "-m", "benchmarks.engines", *options], stdout=subprocess.PIPE)
        found = json.loads(done.stdout) if done.returncode == 0 else {"rows": []}
        if "rows" in found:
            columns[column] = [Row(**row) for row in found["rows"]]
        else:
            left_out.append(f"{column} does not work: {found['unavailable']}")
    side_by_side(f"Engines ({os.cpu_count()} cores, Linux {os.uname().release})", columns)
    for text in left_out:
        print(text)


def one(engine: str, only: Collection[str], seed: int) -> dict[str, Any]:
    """One engine, as JSON."""
    try:
        choose_engine(engine)
    except HarnessError as problem:
        return {"unavailable": str(problem)}
    return {"rows": [asdict(row) for row in measure(engine, only, seed)]}


def main() -> None:
    """Measure and print."""
    compare(PARTS)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.engines")
    parser.add_argument("--engine", choices=ENGINES, help="only this one, on the running kernel")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="these parts")
    parser.add_argument("--seed", type=int, default=0, help="of what happens by chance")
    parser.add_argument("--json", action="store_true", help="of one engine")
    told = parser.parse_args()
    if not told.engine:
        compare(told.only, told.seed)
    elif told.json:
        print(json.dumps(one(told.engine, told.only, told.seed)))
    else:
        table(f"{told.engine} on this kernel", measure(told.engine, told.only, told.seed))
