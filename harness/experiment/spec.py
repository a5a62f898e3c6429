"""An experiment as a value, which ``spec_file.py`` reads from a YAML file. Pure."""

from __future__ import annotations

import hashlib
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from itertools import product
from pathlib import PurePath
from typing import Any, Final, Self

from harness.errors import InputError, quoted
from harness.experiment.masked import masked
from harness.experiment.measure import Measure
from harness.experiment.variants import CommandVariant, OwnCommand, StrategyVariant, Variant
from harness.model.matrix_topology import matrix_keys
from harness.scenario.scenario_name import NONE
from harness.training.options import Schedule
from harness.training.tasks.task_options import TaskOptions

MAX_RUNS: Final = 10_000
_UNSAFE: Final = re.compile(r"[^\w=+-]+")
_NAME: Final = re.compile(r"[^\W_][\w.-]{0,63}")
_LONGEST_NAME: Final = 128
_LONGEST_SLUG: Final = 200
"""Bytes of a run's and an experiment's name: a file's name has up to 255."""


def plain(text: str) -> str:
    """The text as part of a file's name: other characters than letters, digits and ``_=+-`` become ``-``, and a text
    without any of these becomes a hash.
    """
    return _UNSAFE.sub("-", text).strip("-") or hashlib.sha256(text.encode()).hexdigest()[:8]


def short(name: str) -> str:
    """The name of a profile or topology in the report: its name, or its file's without the ending."""
    if "/" not in name:
        return name
    if name.startswith("matrix:"):
        return "matrix:" + ",".join(f"{key}={PurePath(value).stem}" for key, value in matrix_keys(name).items())
    return PurePath(name).stem


def check_name(name: str) -> None:
    """Raise InputError for an invalid name of an experiment, which its folder has too."""
    if not _NAME.fullmatch(name) or len(name.encode()) > _LONGEST_NAME:
        raise InputError(
            f"{quoted(name)} cannot be a name: use up to 64 letters, digits, '_', '.' and '-', "
            "and begin with a letter or a digit"
        )


@dataclass(frozen=True)
class Run:
    """One combination.

    Args:
        profile: of all links.
        topology: of the network.
        variant: the strategy, or the command.
        seed: of the training.
        network_seed: of the network's draws; None: the same as ``seed``.
        scenario: the path of the scenario that is played meanwhile, or ``none``.
        varied: whether the experiment has several scenarios, so that the label names this one.
    """

    profile: str
    topology: str
    variant: Variant
    seed: int
    network_seed: int | None = None
    scenario: str = NONE
    varied: bool = False

    @property
    def label(self) -> str:
        """The name in charts and tables: the strategy or the parameters, e.g. ``diloco H=20 scenario=flaky``."""
        named = self.varied and self.scenario != NONE
        return f"{self.variant.label} scenario={short(self.scenario)}" if named else self.variant.label

    @property
    def drawn_with(self) -> int:
        """The seed of the network's draws."""
        return self.seed if self.network_seed is None else self.network_seed

    @property
    def slug(self) -> str:
        """The folder's name, e.g. ``wan.ring.diloco-H=20.seed0``."""
        parts = (short(self.profile), short(self.topology), self.label)
        return ".".join([*map(plain, parts), f"seed{self.seed}"])

    def values(self, nodes: int, run_dir: str) -> dict[str, str]:
        """The values of a command's placeholders: placeholders.ALWAYS and its parameters.

        ``run_dir``: the run's folder, as the command sees it.
        """
        parameters = self.variant.parameters if isinstance(self.variant, CommandVariant) else {}
        always = {"seed": str(self.seed), "nodes": str(nodes), "run_dir": run_dir}
        network = {"profile": short(self.profile), "topology": short(self.topology)}
        return {**network, "scenario": short(self.scenario), **always, **parameters}


@dataclass(frozen=True)
class Experiment:
    """An experiment: a run for every combination of profile, topology, variant, scenario and seed.

    Args:
        name: of the experiment.
        variants: all strategies, or all points of one command's grid.
        scenarios: paths of scenarios that change the network during a run, or ``none``.
        network_seed: one network for all seeds; None: every seed draws a network of its own.
        network: other options of every run's network, by their names in `PlanOptions`: uplink, mtu and so on.
        nodes: number of ranks; None: as the topology says.
        task: that strategies learn.
        schedule: of each strategy's run. Without checkpoints, a run that was stopped starts again.
        target: ``loss`` or ``accuracy``, of strategies on held-out data, and the value to reach; None: no target.
        stop_at_target: whether a run ends when the mean over its ranks has reached the target.
        limit_seconds: of training, of a command from its start, after which a run ends; None: no limit.
        measure: what is measured of a command; of strategies it is the loss.
    """

    name: str
    profiles: tuple[str, ...]
    topologies: tuple[str, ...]
    variants: tuple[Variant, ...]
    seeds: tuple[int, ...] = (0,)
    nodes: int | None = None
    task: TaskOptions = field(default_factory=TaskOptions)
    schedule: Schedule = field(default_factory=Schedule)
    target: tuple[str, float] | None = None
    stop_at_target: bool = False
    limit_seconds: float | None = None
    network_seed: int | None = None
    network: Mapping[str, Any] = field(default_factory=dict)
    measure: Measure | None = None
    scenarios: tuple[str, ...] = (NONE,)

    def __post_init__(self) -> None:
        check_name(self.name)
        for name in ("profiles", "topologies", "variants", "seeds", "scenarios"):
            if not getattr(self, name):
                raise InputError(f"the experiment is empty: it has no {'strategies' if name == 'variants' else name}")
        if self.nodes is not None and self.nodes < 2:
            raise InputError(f"nodes: {self.nodes}: training together takes at least 2")
        if self.stop_at_target and not self.target:
            raise InputError("stop_at_target needs a target, e.g. target: {loss: 0.4}")
        if self.target and self.target[0] == "accuracy" and self.task.name == "text":
            raise InputError("task text has no accuracy; write target: {loss: 2.0}")
        self._check_runs()

    def _check_runs(self) -> None:
        count = math.prod(map(len, (self.profiles, self.topologies, self.variants, self.seeds, self.scenarios)))
        if count > MAX_RUNS:
            raise InputError(f"the experiment has {count} runs; at most {MAX_RUNS} fit into one")
        slugs = Counter(run.slug for run in self.runs())
        (most, times), *_ = slugs.most_common(1)
        if times > 1:
            raise InputError(f"{times} runs would be called {most}; what differs between them must differ in name")
        if len((longest := max(slugs, key=lambda slug: len(slug.encode()))).encode()) > _LONGEST_SLUG:
            raise InputError(f"a run would be called {longest}, too long for a file's name; give fewer options")

    def runs(self) -> Iterator[Run]:
        """Every combination: all strategies on one network first, since these are compared."""
        varied = len(self.scenarios) > 1
        networks = product(self.profiles, self.topologies, self.seeds)
        for (profile, topology, seed), scenario, variant in product(networks, self.scenarios, self.variants):
            yield Run(profile, topology, variant, seed, self.network_seed, scenario, varied)

    @property
    def command(self) -> OwnCommand | None:
        """The command of all runs; None: they train by strategies."""
        first = self.variants[0]
        return first.command if isinstance(first, CommandVariant) else None

    def to_json(self) -> dict[str, Any]:
        """Plain JSON; from_json reads that of strategies back. A command's environment is not in it."""
        return {
            "name": self.name,
            "profiles": list(self.profiles),
            "topologies": list(self.topologies),
            **self._work(),
            "seeds": list(self.seeds),
            "network_seed": self.network_seed,
            "network": dict(self.network),
            "scenarios": list(self.scenarios),
            "nodes": self.nodes,
            "target": {self.target[0]: self.target[1]} if self.target else None,
            "stop_at_target": self.stop_at_target,
            "limit_seconds": self.limit_seconds,
        }

    def _work(self) -> dict[str, Any]:
        """The strategies and their task, or the command."""
        if self.command:
            points = [dict(one.parameters) for one in self.variants if isinstance(one, CommandVariant)]
            measure = self.measure.to_json() if self.measure else None
            return {"command": masked(self.command.argv), "parameters": points, "measure": measure}
        strategies = [one for one in self.variants if isinstance(one, StrategyVariant)]
        return {
            "strategies": [{"name": one.strategy, "options": dict(one.options)} for one in strategies],
            "task": vars(self.task),
            **vars(self.schedule),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of to_json, of strategies."""
        return cls(
            name=data["name"],
            profiles=tuple(data["profiles"]),
            topologies=tuple(data["topologies"]),
            variants=tuple(StrategyVariant(one["name"], one["options"]) for one in data["strategies"]),
            seeds=tuple(data["seeds"]),
            network=data.get("network", {}),
            nodes=data["nodes"],
            task=TaskOptions.from_json(data["task"]),
            schedule=Schedule(**{one.name: data[one.name] for one in fields(Schedule) if one.name in data}),
            target=next(iter(data["target"].items())) if data["target"] else None,
            stop_at_target=data["stop_at_target"],
            limit_seconds=data["limit_seconds"],
            network_seed=data.get("network_seed"),
            scenarios=tuple(data.get("scenarios", (NONE,))),
        )
