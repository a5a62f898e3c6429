"""The training loop: a task, a strategy, a record."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from harness.errors import InputError
from harness.training.checkpoints import Checkpoints
from harness.training.group import ProcessGroup, blamed
from harness.training.recorder import Recorder
from harness.training.strategies.base import CommClock, Strategy, StrategyContext
from harness.training.tasks.base import LearningTask

_SECONDS_BETWEEN_LINES: Final = 1.0


@dataclass(frozen=True)
class Schedule:
    """How long to train, and what happens on the way.

    Args:
        steps: how many.
        evaluate_every: steps between two evaluations; there is one before the first step and one after the last.
        checkpoint_every: steps between two saved states; 0: none.
        checkpoints: their folder; None: no states are saved.
        resume: whether to go on from the newest saved state.
        identity: what tells this run from another one, by name; saved states of another are refused.
    """

    steps: int
    evaluate_every: int
    checkpoint_every: int = 0
    checkpoints: Path | None = None
    resume: bool = False
    identity: Mapping[str, str] = field(default_factory=dict)


class Training:
    """One rank's part of a training run.

    Args:
        group: the process group.
        task: what is learned.
        make_strategy: from a setup without what follows from the task and the group.
        course: how long.
        recorder: of this rank.
    """

    def __init__(
        self,
        group: ProcessGroup,
        task: LearningTask,
        make_strategy: Callable[[Any, CommClock], Strategy],
        course: Schedule,
        recorder: Recorder,
    ) -> None:
        self._group, self._task, self._course, self._recorder = group, task, course, recorder
        self._clock = CommClock()
        self._model = task.model()
        with blamed(group.rank, "making the strategy"):
            self._strategy = make_strategy(self._model, self._clock)
        self._checkpoints = Checkpoints(course.checkpoints, group.rank, group.size) if course.checkpoints else None
        self._due = 0

    def run(self, facts: dict[str, Any]) -> None:
        """Train to the end. Raises HarnessError with rank and step.

        Args:
            facts: for the record's first line, beside what is known here.
        """
        first, elapsed = self._resumed()
        size = sum(parameter.numel() for parameter in self._model.parameters())
        self._recorder.start(
            rank=self._group.rank,
            size=self._group.size,
            parameters=size,
            bytes_per_step=self._strategy.bytes_per_step(),
            resumed_from=first or None,
            elapsed=elapsed,
            data=self._task.facts(),
            **facts,
        )
        if first == 0:
            self._evaluate(0, 0.0)
        with blamed(self._group.rank, "waiting for all ranks to begin"):
            self._group.dist.barrier()
        self._clock.take()
        self._recorder.begin(elapsed)
        told = 0.0
        for step in range(first + 1, self._course.steps + 1):
            loss = self._step(step)
            last = step == self._course.steps
            if self._group.rank == 0 and (last or time.perf_counter() - told >= _SECONDS_BETWEEN_LINES):
                print(f"step {step}/{self._course.steps}  loss {loss:.3f}", flush=True)
                told = time.perf_counter()
            if last:
                with blamed(self._group.rank, "waiting for what is under way"):
                    self._strategy.settle()
            if last or step % self._course.evaluate_every == 0:
                self._evaluate(step, self._recorder.elapsed)
            self._save_if_due(step)
        self._recorder.end(self._course.steps)

    def _step(self, step: int) -> float:
        batch = self._task.batch(step)
        start = time.perf_counter()
        with blamed(self._group.rank, f"step {step}"):
            loss = self._strategy.step(lambda module: self._task.loss(module, batch))
        self._recorder.step(step, loss, time.perf_counter() - start, self._clock)
        return loss

    def _evaluate(self, step: int, elapsed: float) -> None:
        start = time.perf_counter()
        self._model.eval()
        score = self._task.evaluate(self._model)
        self._model.train()
        self._recorder.evaluation(step, score, elapsed, time.perf_counter() - start)
        if self._group.rank == 0 and step == self._course.steps:
            told = "" if score.accuracy is None else f", accuracy {score.accuracy:.1%}"
            print(f"held-out loss {score.loss:.3f}{told} after {elapsed:.1f} s", flush=True)

    def _save_if_due(self, step: int) -> None:
        """At the first step that is due and hides nothing from the steps after it; the same step on all ranks."""
        every = self._course.checkpoint_every
        if not self._checkpoints or not every:
            return
        if step % every == 0:
            self._due = self._due or step
        if not self._due or (self._strategy.busy and step - self._due < every):
            return
        self._due = 0
        with blamed(self._group.rank, f"saving step {step}"):
            self._strategy.settle()
            self._clock.take()  # that wait belongs to no step
            self._recorder.collectives(step)
            state = {"model": self._model.state_dict(), "strategy": self._strategy.state(), "of": self._course.identity}
            self._checkpoints.save(step, {**state, "elapsed": self._recorder.elapsed})

    def _resumed(self) -> tuple[int, float]:
        """The last step that counts, and the seconds until then."""
        if not self._checkpoints:
            return 0, 0.0
        if not self._course.resume:
            self._checkpoints.clear()  # no later attempt shall go on from another run's
            return 0, 0.0
        with blamed(self._group.rank, "resuming"):
            found = self._checkpoints.load_newest()
            if found is None:
                return 0, 0.0
            step, state = found
            if state["of"] != self._course.identity:
                raise InputError(
                    f"the saved states are of another run: {_differing(state['of'], self._course.identity)}"
                )
            self._model.load_state_dict(state["model"])
            self._strategy.load_state(state["strategy"])
            return step, float(state["elapsed"])


def _differing(theirs: Mapping[str, str], ours: Mapping[str, str]) -> str:
    told = (f"{name} was {theirs.get(name)}, not {ours[name]}" for name in ours if theirs.get(name) != ours[name])
    return ", ".join(told) or "they say more than ours"


def setup_maker(
    kind: type[Strategy],
    options: Any,
    optimizer: Callable[..., Any],
    group: ProcessGroup,
    neighbours: tuple[int, ...],
    seed: int,
) -> Callable[[Any, CommClock], Strategy]:
    """What makes a strategy from a model and a clock."""

    def make(model: Any, clock: CommClock) -> Strategy:
        return kind(StrategyContext(model, optimizer, group.rank, group.size, neighbours, clock, seed), options)

    return make
