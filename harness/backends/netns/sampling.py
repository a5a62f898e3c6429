"""The process that samples the nodes of one network: ``sampling.py``, with its orders in a line on standard input.

One process samples all nodes, by sockets that it opens once in each node's network namespace. It ends when its standard
input is closed (it is stopped, or the command that started it was killed), or with the network's keeper. On standard
output it writes JSON lines: that it is ready, or an error; then messages for the user.

It is a separate program, because a thread would slow the command that watches the job and be hit by Ctrl-C, and because
a process cannot leave a user namespace that it has entered.
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
    """Write a line for the command that started us, if that still reads."""
    with contextlib.suppress(BrokenPipeError):
        os.write(1, json.dumps(facts).encode() + b"\n")


def open_nodes(keeper: Keeper, plan: NetworkPlan, engine: str) -> dict[int, Node]:
    """A sampler for every node, and one for the bridge if it shapes trunks. Raises HarnessError, OSError."""
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
    """Sample until one of the files ``ends`` can be read, and once more then."""
    pace, cost = Pace(SHARE), time.process_time()
    while True:
        now = time.time()
        recorder.record(now)
        before, cost = cost, time.process_time()
        if select.select(ends, (), (), max(0.0, pace.next(time.time(), cost - before) - time.time()))[0]:
            recorder.record(time.time(), last=True)
            return


def main(order: Mapping[str, Any]) -> None:
    """Sample as ``order`` says: ``{"keeper": {Keeper}, "plan": {NetworkPlan}, "engine", "folder", "attempt"}``."""
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
