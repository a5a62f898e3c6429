"""The training loop of one rank: steps, evaluations, checkpoints."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from harness import metrics
from harness.errors import InputError
from harness.training.checkpoints import Checkpoints
from harness.training.device import synchronize
from harness.training.group import ProcessGroup, blamed
from harness.training.options import Schedule
from harness.training.recorder import Recorder
from harness.training.strategies.base import CommClock, Strategy, StrategyContext
from harness.training.tasks.base import LearningTask

_SECONDS_BETWEEN_LINES: Final = 1.0


class Training:
    """One rank's part of a training run.

    Args:
        group: the process group.
        task: what is learned.
        make_strategy: makes the strategy for a model and a clock.
        schedule: how long to train, and when to evaluate and save.
        recorder: of this rank.
        checkpoints: of this rank; None: none are saved.
        identity: settings by name that identify the run; checkpoints with others are refused.
    """

    def __init__(
        self,
        group: ProcessGroup,
        task: LearningTask,
        make_strategy: Callable[[Any, CommClock], Strategy],
        schedule: Schedule,
        recorder: Recorder,
        checkpoints: Checkpoints | None = None,
        identity: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._group, self._task, self._schedule, self._recorder = group, task, schedule, recorder
        self._checkpoints, self._identity = checkpoints, identity
        self._clock = CommClock(lambda: synchronize(group.device))
        self._model = task.model().to(group.device)
        with blamed(group.rank, "making the strategy"):
            self._strategy = make_strategy(self._model, self._clock)
        self._printed = -_SECONDS_BETWEEN_LINES
        self._save_since = 0
        """The step of a checkpoint that is due but could not be saved yet; 0: none."""

    def run(self, facts: dict[str, Any], *, resume: bool) -> None:
        """Train to the end. Raises HarnessError with rank and step.

        Args:
            facts: more fields for the record's first line.
            resume: whether to continue from the newest checkpoint; else this rank's checkpoints are removed.
        """
        first, elapsed = self._resumed(resume)
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
        for step in range(first + 1, self._schedule.steps + 1):
            loss = self._step(step)
            last = step == self._schedule.steps
            metrics.step(step)
            self._print_progress(step, loss, last)
            if last:
                with blamed(self._group.rank, "waiting for communication that is still under way"):
                    self._strategy.settle()
            if last or step % self._schedule.evaluate_every == 0:
                self._evaluate(step, self._recorder.elapsed)
            self._save_if_due(step)
        self._recorder.end(self._schedule.steps)

    def _print_progress(self, step: int, loss: float, last: bool) -> None:
        """On rank 0, print a line per step, at most one a second, and one for the last step."""
        now = time.perf_counter()
        if self._group.rank == 0 and (last or now - self._printed >= _SECONDS_BETWEEN_LINES):
            computing, waiting = self._recorder.last_seconds
            times = f"compute {computing * 1e3:.1f} ms  communication {waiting * 1e3:.1f} ms"
            print(f"step {step}/{self._schedule.steps}  loss {loss:.3f}  {times}", flush=True)
            self._printed = now

    def _step(self, step: int) -> float:
        batch = tuple(part.to(self._group.device) for part in self._task.batch(step))
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
        if self._group.rank == 0 and step == self._schedule.steps:
            accuracy = "" if score.accuracy is None else f", accuracy {score.accuracy:.1%}"
            print(f"held-out loss {score.loss:.3f}{accuracy} after {elapsed:.1f} s", flush=True)

    def _save_if_due(self, step: int) -> None:
        """Save a checkpoint every ``checkpoint_every`` steps, the same step on all ranks.

        While the strategy is busy, saving waits for a later step: settling would expose communication that later steps
        hide. It waits until the next checkpoint is due at most.
        """
        every = self._schedule.checkpoint_every
        if not self._checkpoints or not every:
            return
        if step % every == 0:
            self._save_since = self._save_since or step
        if not self._save_since or (self._strategy.busy and step - self._save_since < every):
            return
        self._save_since = 0
        with blamed(self._group.rank, f"saving step {step}"):
            self._strategy.settle()
            self._clock.take()  # the time that settling took belongs to no step
            self._recorder.collectives(step)
            state = {"model": self._model.state_dict(), "strategy": self._strategy.state(), "of": self._identity}
            self._checkpoints.save(step, {**state, "elapsed": self._recorder.elapsed})

    def _resumed(self, resume: bool) -> tuple[int, float]:
        """The last step that counts, and the seconds of training until then; (0, 0) for a new run."""
        if not self._checkpoints:
            return 0, 0.0
        if not resume:
            self._checkpoints.clear()  # a later --resume must not go on from another run's
            return 0, 0.0
        with blamed(self._group.rank, "resuming"):
            found = self._checkpoints.load_newest()
            if found is None:
                return 0, 0.0
            step, state = found
            if state["of"] != self._identity:
                raise InputError(f"the checkpoints are of another run: {_differing(state['of'], self._identity)}")
            self._model.load_state_dict(state["model"])
            self._strategy.load_state(state["strategy"])
            return step, float(state["elapsed"])


def _differing(theirs: Mapping[str, str], ours: Mapping[str, str]) -> str:
    parts = (f"{name} was {theirs.get(name)}, not {ours[name]}" for name in ours if theirs.get(name) != ours[name])
    return ", ".join(parts) or "theirs has more settings than ours"


def strategy_maker(
    kind: type[Strategy],
    options: Any,
    optimizer: Callable[..., Any],
    group: ProcessGroup,
    neighbours: tuple[int, ...],
    seed: int,
) -> Callable[[Any, CommClock], Strategy]:
    """A function that makes a strategy of this kind for a model and a clock."""

    def make(model: Any, clock: CommClock) -> Strategy:
        return kind(StrategyContext(model, optimizer, group.rank, group.size, neighbours, clock, seed), options)

    return make
