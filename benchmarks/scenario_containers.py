"""Scenarios on containers: how long after its time a change of all edges is acknowledged.

scripts/with-docker .venv/bin/python -m benchmarks scenario_containers      (needs the image: scripts/build-image)
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Final

from benchmarks.containers import HARNESS, IMAGE, NETWORK, SUBNET6, timed
from benchmarks.report import table
from benchmarks.scenario import acknowledged, every_edge
from harness.cli.networks import find_network
from harness.scenario.played import Played
from harness.scenario.player import Player
from harness.scenario.scenario_file import load_scenario

NODES: Final = 8
ACKNOWLEDGED_S: Final = 0.5


def main() -> None:
    """Measure and print."""
    name, found = "bench-scenario", list[Played]()
    words = ("--nodes", str(NODES), "--topology", "ring", "--profile", "wan", "--image", IMAGE, "--name", name)
    timed(*HARNESS, "up", "--runtime", "docker", *words, "--subnet", NETWORK["SUBNET"], "--subnet6", SUBNET6)
    try:
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "s.yaml").write_text(every_edge(20))
            Player(find_network(name), load_scenario(Path(folder, "s.yaml")), found.append).play()
    finally:
        timed(*HARNESS, "down", "--name", name)
    what = f"all {2 * NODES} directed edges of {NODES} containers at once"
    table("Scenarios on containers", [acknowledged(what, found, ACKNOWLEDGED_S)])
