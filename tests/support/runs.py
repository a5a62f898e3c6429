"""Folders of runs as docs/runs.md describes them, with plausible records that no network was needed for."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.model.bound import LinkBound
from harness.model.plan import NetworkPlan
from harness.model.plan_options import PlanOptions

CREATED = 1_795_000_000.0
PARAMETERS = 25_000
COMPUTE = 0.02
Line = dict[str, Any]


@dataclass(frozen=True)
class Strategy:
    """How a made-up strategy behaves.

    Args:
        name, label, options: what run.json says.
        every: steps between two all_reduces.
        share: of the parameters in each.
        pace: steps in which the loss falls by e.
    """

    name: str
    label: str
    options: dict[str, float] = field(default_factory=dict)
    every: int = 1
    share: float = 1.0
    pace: float = 40.0


DDP = Strategy("ddp", "ddp")
DILOCO = Strategy("diloco", "diloco H=20", {"H": 20}, every=20, pace=46)
SPARTA = Strategy("sparta", "sparta p=0.005", {"p": 0.005}, share=0.005, pace=60)
ALL = (DDP, DILOCO, SPARTA)


def make_experiment(
    folder: Path,
    *,
    profiles: Sequence[str] = ("local", "wan", "mobile"),
    topologies: Sequence[str] = ("ring",),
    strategies: Sequence[Strategy] = ALL,
    seeds: Sequence[int] = (0,),
    nodes: int = 4,
    steps: int = 120,
    target: float | dict[str, float] | None = 0.4,
    limit: float | None = 120.0,
    sampled: bool = False,
) -> Path:
    """Write a finished experiment of all combinations; its folder. ``sampled``: with flows and single collectives."""
    slugs = []
    for profile in profiles:
        for topology in topologies:
            for strategy in strategies:
                for seed in seeds:
                    slug = f"{profile}.{topology}.{strategy.name}{_suffix(strategy)}.seed{seed}"
                    plan = PlanOptions(nodes, topology, profile, None, seed, None, None).plan()
                    make_run(folder / slug, plan, strategy, seed=seed, steps=steps, target=target, limit=limit)
                    if sampled:
                        add_samples(folder / slug, plan)
                    slugs.append(slug)
    about = {
        "version": 1,
        "id": folder.name,
        "name": folder.name.split("-")[0],
        "created": CREATED,
        "spec": {"profiles": list(profiles), "topologies": list(topologies), "seeds": list(seeds)},
        "runs": slugs,
        "source": f"/home/me/{folder.name.split('-')[0]}.yaml",
        "home": {"runtime": "netns", "engine": "userspace", "congestion-control": "cubic"},
    }
    (folder / "experiment.json").write_text(json.dumps(about))
    (folder / "experiment.yaml").write_text(f"name: {about['name']}\n")
    return folder


def make_run(
    folder: Path,
    plan: NetworkPlan,
    strategy: Strategy,
    *,
    seed: int = 0,
    steps: int = 120,
    target: float | dict[str, float] | None = 0.4,
    limit: float | None = 120.0,
) -> None:
    """Write one finished run, or one that its time limit ended."""
    folder.mkdir(parents=True)
    chance = random.Random(f"{folder.name}")
    settings = {
        "version": 1,
        "slug": folder.name,
        "profile": plan.profile,
        "topology": plan.topology,
        "nodes": plan.size,
        "seed": seed,
        "strategy": strategy.name,
        "options": strategy.options,
        "label": strategy.label,
        "task": {"name": "digits"},
        "steps": steps,
        "target": {"loss": target} if isinstance(target, float) else target,
        "limit_seconds": limit,
        "runtime": "netns",
        "engine": "userspace",
        "plan": plan.to_json(),
        "versions": {"harness": "0.1.0", "python": "3.11.2", "torch": "2.13.0+cpu", "kernel": "6.1.0"},
        "started": CREATED,
        "attempt": 1,
    }
    (folder / "run.json").write_text(json.dumps(settings))
    ranks, ended = _records(plan, strategy, steps, limit, chance)
    for rank, lines in enumerate(ranks):
        write_lines(folder / f"rank-{rank}.jsonl", lines)
    write_lines(folder / "links.jsonl", _links(plan, ranks, ended, chance))
    status = "finished" if ranks[0][-1]["step"] == steps else "limit"
    end = {"status": status, "time": CREATED + 2 + ended, "seconds": ended, "code": 0}
    (folder / "end.json").write_text(json.dumps({**end, "failed_rank": None, "last_lines": []}))


def add_samples(folder: Path, plan: NetworkPlan) -> None:
    """Add to a run the connections of a ring and its collectives, one by one."""
    steps = [line for line in read_lines(folder / "rank-0.jsonl") if line["kind"] == "step"]
    begun, ended = steps[0]["time"] - steps[0]["seconds"], steps[-1]["time"]
    flows, chance = [], random.Random(f"flows of {folder.name}")
    pairs = [pair for rank in range(plan.size) for pair in ((rank, (rank + 1) % plan.size),)]
    pairs += [(dst, src) for src, dst in pairs if (dst, src) not in pairs]
    for number, (src, dst) in enumerate(pairs):
        about = {"src_port": 40000 + number, "dst_port": 29500, "congestion_control": "cubic", "mss": 1448}
        flows.append({"kind": "flow", "time": begun, "attempt": 1, "id": number, "src": src, "dst": dst, **about})
    trips = [sum(2e6 * edge.shape.delay.seconds for edge in plan.path(*pair)) + 200 for pair in pairs]
    for tick in range(int((ended - begun) * 10) + 1):
        rows = [
            [number, 10 + (7 * tick + number) % 90, int(trip * (1 + chance.random() * 0.3)), tick // 20, 1_250_000,
             12_500 * tick, 90_000 * tick, 0]
            for number, trip in enumerate(trips)
        ]  # fmt: skip
        flows.append({"kind": "sample", "time": begun + tick / 10, "attempt": 1, "flows": rows})
    write_lines(folder / "flows.jsonl", flows)
    talked = [step for step in steps if step["sent_bytes"] > 66]
    for rank in range(plan.size):
        lines = [
            {"op": "all_reduce", "start": step["time"] - step["seconds_comm"], "seconds": step["seconds_comm"] + 1e-4,
             "bytes": 4 * PARAMETERS, "ranks": plan.size, "group": "default_pg", "step": step["step"]}
            for step in talked
        ]  # fmt: skip
        write_lines(folder / f"collectives-{rank}.jsonl", lines)


def write_lines(path: Path, lines: Iterable[Line]) -> None:
    """One JSON object per line."""
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def read_lines(path: Path) -> list[Line]:
    """What write_lines wrote."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def _suffix(strategy: Strategy) -> str:
    return "".join(f"-{key}{value}" for key, value in strategy.options.items())


def _records(
    plan: NetworkPlan, strategy: Strategy, steps: int, limit: float | None, chance: random.Random
) -> tuple[list[list[Line]], float]:
    """The lines of each rank, and the seconds that they tell of."""
    payload = int(PARAMETERS * 4 * strategy.share)
    least = LinkBound(plan).seconds("all_reduce", payload) * (1.3 + chance.random() * 0.4) + 0.0005
    wire = int(payload * 2 * (plan.size - 1) / plan.size * 1.06)
    ranks: list[list[Line]] = [
        [
            {
                "kind": "start",
                "time": CREATED + 2,
                "rank": rank,
                "size": plan.size,
                "parameters": PARAMETERS,
                "bytes_per_step": payload / strategy.every,
                "resumed_from": None,
                "versions": {"torch": "2.13.0+cpu"},
            }
        ]
        for rank in range(plan.size)
    ]
    untrained = {"kind": "eval", "step": 0, "time": CREATED + 2, "elapsed": 6e-5, "accuracy": 0.1, "seconds": 0.004}
    for lines in ranks:
        lines.append({**untrained, "loss": _loss(0, strategy)})
    elapsed, rounds = 0.0, 0
    for step in range(1, steps + 1):
        talks = step % strategy.every == 0
        comm = least * chance.lognormvariate(0, 0.12) if talks else 0.0
        elapsed += COMPUTE + comm
        rounds += talks
        for rank, lines in enumerate(ranks):
            waited = max(0.0, comm - 0.001 * rank) if talks else 0.0
            lines.append(
                {
                    "kind": "step",
                    "step": step,
                    "time": CREATED + 2 + elapsed,
                    "elapsed": elapsed,
                    "loss": _loss(step, strategy) * chance.lognormvariate(0, 0.08),
                    "seconds": COMPUTE + comm,
                    "seconds_compute": COMPUTE + comm - waited,
                    "seconds_comm": waited,
                    "sent_bytes": wire if talks else 66,
                    "received_bytes": wire if talks else 66,
                }
            )
        if step % 5 == 0 or step == steps:
            elapsed += 0.004
            for rank, lines in enumerate(ranks):
                lines.append(
                    {
                        "kind": "eval",
                        "step": step,
                        "time": CREATED + 2 + elapsed,
                        "elapsed": elapsed - 0.001 * rank,
                        "loss": _loss(step, strategy) * chance.lognormvariate(0, 0.02),
                        "accuracy": 1 - math.exp(-step / 30),
                        "seconds": 0.004,
                    }
                )
        if limit is not None and elapsed > limit:
            break
    ops = {"all_reduce": {"count": rounds, "bytes": rounds * payload}} if rounds else {}
    for lines in ranks:
        lines.append({"kind": "collectives", "step": step, "ops": ops, "missed": 0})
        lines.append({"kind": "end", "time": CREATED + 2 + elapsed, "elapsed": elapsed, "step": step})
    return ranks, elapsed


def _loss(step: int, strategy: Strategy) -> float:
    return 0.12 + 2.2 * math.exp(-step / strategy.pace)


def _links(plan: NetworkPlan, ranks: list[list[Line]], ended: float, chance: random.Random) -> list[Line]:
    """Counters once a second, from what ranks sent, evenly over the edges."""
    sent = [(line["time"], line["sent_bytes"]) for lines in ranks for line in lines if line["kind"] == "step"]
    samples: list[Line] = []
    dropped = dict.fromkeys(plan.edges, 0)
    segments = 0
    for second in range(int(ended) + 5):
        now = CREATED + second
        total = sum(size for time, size in sent if time <= now) / len(plan.edges)
        for pair, edge in plan.edges.items():
            dropped[pair] += int(chance.random() < 5 * edge.shape.mean_loss)
        segments = max(segments, int(total / 1448 * 2))
        samples.append(
            {
                "time": now,
                "attempt": 1,
                "edges": [
                    {
                        "src": src,
                        "dst": dst,
                        "sent_packets": int(total / 1448),
                        "sent_bytes": int(total),
                        "dropped": dropped[src, dst],
                        "backlog_bytes": chance.randrange(60_000) if total else 0,
                        "backlog_packets": chance.randrange(40) if total else 0,
                    }
                    for src, dst in sorted(plan.edges)
                ],
                "tcp": {
                    str(rank): {"sent_segments": segments, "retransmitted_segments": sum(dropped.values()) // 4}
                    for rank in range(plan.size)
                },
            }
        )
    return samples
