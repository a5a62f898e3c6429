"""The same jobs by this harness and by what people would take instead, in one run, in the same namespaces.

    python -m benchmarks peers

tc -batch; tcconfig from its package; the commands of Pumba; TCIntf of Containernet, from Mininet's package: what they
run, and where that stands, is in peer_commands.py. All of them need netem: where the running kernel has none they run,
with this harness's netem, in the guest of scripts/with-netem, where a program takes ten times as long to start. The
user-space engine runs here, a column of its own, whose times are this kernel's and not comparable to the guest's.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.links import note
from benchmarks.peer_commands import Pumba, Tc, Tcconfig
from benchmarks.peer_jobs import measure
from benchmarks.peer_packages import FOLDER, PACKAGES, Containernet, install
from benchmarks.peer_tools import Ours, Theirs, Tool
from benchmarks.report import Row, side_by_side
from harness.shaping.detect import features, works
from harness.shaping.facts import NETEM, USERSPACE


def one(engine: str, packages: bool) -> dict[str, Any]:
    """One engine on the running kernel, as JSON; beside netem the peers, those of packages where these are there."""
    tools: list[Tool] = []
    if engine == NETEM:
        tools += [Theirs(Tc()), Theirs(Pumba())]
    if engine == NETEM and packages:
        tools += [Theirs(Tcconfig(str(FOLDER / "bin"))), Theirs(Containernet())]
    rows = measure(engine, [*tools, Ours(f"harness {engine}")], note)
    return {name: [asdict(row) for row in found] for name, found in rows.items()}


def main() -> None:
    """Measure and print."""
    missing = install()
    here = os.environ.get("WITH_NETEM") or "native"
    places: list[tuple[str, str, list[str]]] = [(NETEM, here, []), (USERSPACE, here, [])]
    if not works(NETEM, features()):
        places[0] = NETEM, "uml", [str(Path(__file__).parents[1] / "scripts" / "with-netem")]
    columns: dict[str, list[Row]] = {}
    for engine, place, prefix in places:
        note(f"{engine} ({place})")
        argv = [*prefix, sys.executable, "-m", __name__, engine, *([] if missing else ["packages"])]
        done = subprocess.run(argv, stdout=subprocess.PIPE, check=True)
        found = {name: [Row(**row) for row in rows] for name, rows in json.loads(done.stdout).items()}
        columns |= {f"{name} ({place})": rows for name, rows in found.items()}
    side_by_side(f"Peers ({os.cpu_count()} cores; {', '.join(PACKAGES)})", columns)
    if missing:
        print(f"tcconfig and Containernet were left out: their packages are not to be had: {missing}")


if __name__ == "__main__":
    print(json.dumps(one(sys.argv[1], "packages" in sys.argv[2:])))
