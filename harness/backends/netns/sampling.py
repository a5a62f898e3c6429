"""The process that samples the nodes of one network: ``sampling.py``, with its orders in a line on standard input.

One for all nodes: it has sockets open in each node's network namespace, and enters none again. It samples until its
standard input ends - it is stopped, or who started it was killed - or the network's keeper does. On standard output it
says in JSON, a line each, that it is ready, or why it cannot be; then what the user should know.

It is a program of its own, so that what it costs is not taken from the command that watches the job (a thread would
hold that one's interpreter, and Ctrl-C would meet it), and because who enters a user namespace cannot leave it.
"""

from __future__ import annotations

import os
import sys

if __name__ == "__main__":
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))))

import contextlib
import gc
import json
import select
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.backends.netns.namespaces import Keeper
from harness.errors import HarnessError
from harness.linux import host, syscalls
from harness.model.plan import NetworkPlan
from harness.sampling.node import NodeSampler, sites
from harness.sampling.pace import SHARE, Pace
from harness.sampling.sample_recorder import Node, SampleRecorder
from harness.shaping.facts import engine_facts


def tell(**facts: object) -> None:
    """Say something to who started us, if that still listens."""
    with contextlib.suppress(BrokenPipeError):
        os.write(1, json.dumps(facts).encode() + b"\n")


def open_nodes(keeper: Keeper, plan: NetworkPlan, engine: str) -> dict[int, Node]:
    """A sampler in every node, and on the bridge where trunks are made there. Raises HarnessError, OSError."""
    host.raise_open_files()
    keeper.enter_user()
    samplers: dict[int, Node] = {}
    for site in sites(plan, engine):
        with keeper.namespaces([site.rank]) as (namespace,):
            syscalls.setns(namespace, syscalls.CLONE_NEWNET)
            samplers[site.rank] = NodeSampler(site)
    if plan.trunk_capacities and engine_facts(engine).shapes_bridge:
        from harness.sampling.bridge import BRIDGE, BridgeSampler

        syscalls.setns(keeper.open(f"fd/{keeper.bridge}"), syscalls.CLONE_NEWNET)
        samplers[BRIDGE] = BridgeSampler(plan)
    return samplers


def run(recorder: SampleRecorder, ends: list[int]) -> None:
    """Sample until one of these files can be read, and once more then."""
    pace, cost = Pace(SHARE), time.process_time()
    while True:
        now = time.time()
        recorder.record(now)
        before, cost = cost, time.process_time()
        if select.select(ends, (), (), max(0.0, pace.next(time.time(), cost - before) - time.time()))[0]:
            recorder.record(time.time(), last=True)
            return


def main(order: Mapping[str, Any]) -> None:
    """Do as ordered: ``{"keeper": {Keeper}, "plan": {NetworkPlan}, "engine", "folder", "attempt"}``."""
    try:
        keeper = Keeper(**order["keeper"])
        ends = [0, os.pidfd_open(keeper.pid)]
        folder = Path(order["folder"])
        files = folder / "links.jsonl", folder / "flows.jsonl"
        nodes = open_nodes(keeper, NetworkPlan.from_json(order["plan"]), order["engine"])
        recorder = SampleRecorder(nodes, files, order["attempt"], lambda text: tell(say=text))
    except HarnessError as error:
        tell(error=str(error))
    except OSError as problem:
        tell(error=host.explain(problem))
    else:
        gc.freeze()
        tell(ready=True)
        run(recorder, ends)


if __name__ == "__main__":
    main(json.loads(sys.stdin.buffer.readline()))
