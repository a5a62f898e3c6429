"""What an experiment is: a value, read from a YAML file by ``file.py``. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import Any, Final, Self

from harness.errors import InputError
from harness.tasks.find import TaskOptions

_UNSAFE: Final = re.compile(r"[^A-Za-z0-9_=+-]+")


@dataclass(frozen=True)
class Variant:
    """A strategy with the options that the user chose for it.

    Args:
        strategy: its name.
        options: by name; the others are the strategy's defaults.
    """

    strategy: str
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """What charts and tables call it, e.g. ``diloco H=20``."""
        name = self.strategy.rpartition("/")[2].removesuffix(".py")
        return " ".join([name, *(f"{key}={value}" for key, value in self.options.items())])


@dataclass(frozen=True)
class Run:
    """One combination.

    Args:
        profile: of all links.
        topology: of the network.
        variant: the strategy.
        seed: of the network's draws, the model, the data and the strategy.
    """

    profile: str
    topology: str
    variant: Variant
    seed: int

    @property
    def slug(self) -> str:
        """Its folder's name, e.g. ``wan.ring.diloco-H=20.seed0``."""
        parts = (self.profile.rpartition("/")[2], self.topology.rpartition("/")[2], self.variant.label)
        return ".".join([*(_UNSAFE.sub("-", part).strip("-") for part in parts), f"seed{self.seed}"])


@dataclass(frozen=True)
class Experiment:
    """All that is asked for.

    Args:
        name: of the experiment.
        profiles: one run for each, times ...
        topologies: ... each of these, times ...
        variants: ... each of these, times ...
        seeds: ... each of these.
        nodes: ranks; None: as the topology says.
        task: what is learned.
        steps: of each run.
        evaluate_every: steps.
        checkpoint_every: steps; 0: a run that was stopped begins anew.
        target: ``loss`` or ``accuracy`` on held-out data, and the value that counts as learned; None: there is none.
        stop_at_target: whether a run ends when the mean over its ranks has reached the target.
        limit_seconds: of training, after which a run ends and counts as it is; None: no limit.
    """

    name: str
    profiles: tuple[str, ...]
    topologies: tuple[str, ...]
    variants: tuple[Variant, ...]
    seeds: tuple[int, ...] = (0,)
    nodes: int | None = None
    task: TaskOptions = field(default_factory=TaskOptions)
    steps: int = 200
    evaluate_every: int = 10
    checkpoint_every: int = 50
    target: tuple[str, float] | None = None
    stop_at_target: bool = False
    limit_seconds: float | None = None

    def __post_init__(self) -> None:
        for name in ("profiles", "topologies", "variants", "seeds"):
            if not getattr(self, name):
                raise InputError(f"the experiment is empty: it has no {'strategies' if name == 'variants' else name}")
        slugs = [run.slug for run in self.runs()]
        if twice := next((slug for slug in slugs if slugs.count(slug) > 1), None):
            raise InputError(f"two runs are the same: {twice}")
        if self.stop_at_target and not self.target:
            raise InputError("stop_at_target needs a target, e.g. target: {loss: 0.4}")

    def runs(self) -> Iterator[Run]:
        """Every combination: all strategies on one network first, since that is what is compared."""
        for profile, topology, seed, variant in product(self.profiles, self.topologies, self.seeds, self.variants):
            yield Run(profile, topology, variant, seed)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON; from_json reads it back."""
        return {
            "name": self.name,
            "profiles": list(self.profiles),
            "topologies": list(self.topologies),
            "strategies": [{"name": one.strategy, "options": dict(one.options)} for one in self.variants],
            "seeds": list(self.seeds),
            "nodes": self.nodes,
            "task": vars(self.task),
            "steps": self.steps,
            "evaluate_every": self.evaluate_every,
            "checkpoint_every": self.checkpoint_every,
            "target": {self.target[0]: self.target[1]} if self.target else None,
            "stop_at_target": self.stop_at_target,
            "limit_seconds": self.limit_seconds,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of to_json."""
        return cls(
            name=data["name"],
            profiles=tuple(data["profiles"]),
            topologies=tuple(data["topologies"]),
            variants=tuple(Variant(one["name"], one["options"]) for one in data["strategies"]),
            seeds=tuple(data["seeds"]),
            nodes=data["nodes"],
            task=TaskOptions.from_json(data["task"]),
            steps=data["steps"],
            evaluate_every=data["evaluate_every"],
            checkpoint_every=data["checkpoint_every"],
            target=next(iter(data["target"].items())) if data["target"] else None,
            stop_at_target=data["stop_at_target"],
            limit_seconds=data["limit_seconds"],
        )
