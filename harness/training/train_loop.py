"""The training loop of one rank: steps, evaluations, checkpoints."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from harness import metrics
from harness.errors import InputError
from harness.training.checkpoints import Checkpoints
from harness.training.device import synchronize
from harness.training.group import GroupError, ProcessGroup, blamed
from harness.training.options import Schedule
from harness.training.recorder import Recorder
from harness.training.strategies.base import CommClock, Strategy
from harness.training.tasks.base import LearningTask

_SECONDS_BETWEEN_LINES: Final = 1.0


class Training:
    """One rank's part of a training run: ``enter`` a process group, then ``load``, ``run`` and ``close``.

    Args:
        make_task: makes the task of a group's member.
        make_strategy: makes the strategy for a group, a model and a clock.
        schedule: how long to train, and when to evaluate and save.
        recorder: of this rank.
        checkpoints: of this rank; None: none are saved.
        identity: settings by name that identify the run; checkpoints with others are refused.
    """

    def __init__(
        self,
        make_task: Callable[[ProcessGroup], LearningTask],
        make_strategy: Callable[[ProcessGroup, Any, CommClock], Strategy],
        schedule: Schedule,
        recorder: Recorder,
        checkpoints: Checkpoints | None = None,
        identity: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._make_task, self._make_strategy = make_task, make_strategy
        self._schedule, self.recorder = schedule, recorder
        self._checkpoints, self._identity = checkpoints, identity
        self._clock = CommClock(lambda: synchronize(self._group.device))
        self._printed = -_SECONDS_BETWEEN_LINES
        self._save_since = 0
        """The step of a checkpoint that is due but could not be saved yet; 0: none."""
        self.step = 0
        """The last completed step."""
        self._before = 0.0
        """Seconds of training in earlier attempts."""
        self._begun = False

    def enter(self, group: ProcessGroup, state: Mapping[str, Any] | None = None) -> None:
        """Make task, model and strategy for a group.

        Args:
            group: the default process group from now on.
            state: from which to continue, the same on all members; None: the beginning.
        """
        self._group = group
        self._task = self._make_task(group)
        self._model = self._task.model().to(group.device)
        if state:
            self._model.load_state_dict(state["model"])
        with blamed(group.global_rank, "making the strategy"):
            self._strategy = self._make_strategy(group, self._model, self._clock)
        if state:
            self._strategy.load_state(state["strategy"])

    def close(self) -> None:
        """Wait for all ranks, then destroy the strategy, the model and the process group, in this order.

        A DistributedDataParallel that is destroyed after its group may wait for ever for the group's threads, which
        wait for the interpreter's lock (pytorch #56297). A receive that a strategy has left under way must not be
        destroyed before all ranks are here: later messages of its sender would wait behind the one that it expects.
        """
        self._group.wait_for_all()
        self._drop()
        self._group.destroy()

    def _drop(self) -> None:
        """Destroy what uses the group."""
        for name in ("_strategy", "_model"):
            self.__dict__.pop(name, None)
        gc.collect()

    def leave(self) -> None:
        """Give up the group, which has failed and will be destroyed next, and the step that is under way in it."""
        if not self._begun:
            self._drop()
            return
        self._strategy.abandon()
        self._clock.take()
        self.recorder.leave(self.step)
        self.step = max(self.step, min(self._strategy.steps, self.step + 1))
        self._save_since = 0

    def state(self) -> dict[str, Any]:
        """What another rank needs to continue from here, after ``leave``; empty before the first step."""
        if not self._begun:
            return {}
        return {
            "step": self.step,
            "model": self._model.state_dict(),
            "strategy": self._strategy.state(),
        }

    def load(self, resume: bool) -> None:
        """Load a checkpoint, after ``enter``. Raises HarnessError.

        Args:
            resume: whether to continue from the newest checkpoint; otherwise this rank's checkpoints are removed.
        """
        self.step, self._before = self._resumed(resume)

    def run(self, facts: Mapping[str, Any]) -> None:
        """Train to the end, after ``load``. Raises HarnessError with rank and step.

        Args:
            facts: more fields for the record's first line.
        """
        self._start(facts, self.step or None, self._before)
        if self.step == 0:
            self._evaluate(0, 0.0)
        self._wait_for_all()
        self.recorder.begin(self._before)
        self._train()

    def go_on(self, facts: Mapping[str, Any], step: int) -> None:
        """Train to the end in another group, after ``enter`` with a state. Raises HarnessError with rank and step.

        Args:
            facts: more fields for the record's line of this start.
            step: the last completed step.
        """
        self.step = step
        self._wait_for_all()
        self.recorder.begin(self._group.of_rank_0(self.recorder.elapsed))
        self._start(facts, step, self.recorder.elapsed)
        self._train()

    def _start(self, facts: Mapping[str, Any], resumed_from: int | None, elapsed: float) -> None:
        self.recorder.start(
            rank=self._group.global_rank,
            size=self._group.size,
            parameters=sum(parameter.numel() for parameter in self._model.parameters()),
            bytes_per_step=self._strategy.bytes_per_step(),
            resumed_from=resumed_from,
            elapsed=elapsed,
            data=self._task.facts(),
            **facts,
        )
        self._begun = True

    def _wait_for_all(self) -> None:
        with blamed(self._group.global_rank, "waiting for all ranks to begin"):
            self._group.dist.barrier()
        self._clock.take()

    def _train(self) -> None:
        for step in range(self.step + 1, self._schedule.steps + 1):
            if self._group.ended:
                raise GroupError(f"rank {self._group.global_rank}: before step {step}: this group has ended")
            loss = self._step(step)
            self.step = step
            last = step == self._schedule.steps
            metrics.step(step)
            self._print_progress(step, loss, last)
            if last:
                with blamed(self._group.global_rank, "waiting for communication that is still under way"):
                    self._strategy.settle()
            if last or step % self._schedule.evaluate_every == 0:
                self._evaluate(step, self.recorder.elapsed)
            self._save_if_due(step)
        self.recorder.end(self._schedule.steps)

    def _print_progress(self, step: int, loss: float, last: bool) -> None:
        """On rank 0, print a line per step, at most one a second, and one for the last step."""
        now = time.perf_counter()
        if self._group.rank == 0 and (last or now - self._printed >= _SECONDS_BETWEEN_LINES):
            computing, waiting = self.recorder.last_seconds
            times = f"compute {computing * 1e3:.1f} ms  communication {waiting * 1e3:.1f} ms"
            print(f"step {step}/{self._schedule.steps}  loss {loss:.3f}  {times}", flush=True)
            self._printed = now

    def _step(self, step: int) -> float:
        batch = tuple(part.to(self._group.device) for part in self._task.batch(step))
        start = time.perf_counter()
        with blamed(self._group.global_rank, f"step {step}"):
            loss = self._strategy.step(lambda module: self._task.loss(module, batch))
        self.recorder.step(step, loss, time.perf_counter() - start, self._clock)
        return loss

    def _evaluate(self, step: int, elapsed: float) -> None:
        start = time.perf_counter()
        self._model.eval()
        score = self._task.evaluate(self._model)
        self._model.train()
        self.recorder.evaluation(step, score, elapsed, time.perf_counter() - start)
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
        with blamed(self._group.global_rank, f"saving step {step}"):
            self._strategy.settle()
            self._clock.take()  # settling is part of no step
            self.recorder.collectives(step)
            state = {"model": self._model.state_dict(), "strategy": self._strategy.state(), "of": self._identity}
            self._checkpoints.save(step, {**state, "elapsed": self.recorder.elapsed})

    def _resumed(self, resume: bool) -> tuple[int, float]:
        """The last completed step, and the seconds of training until then; (0, 0) for a new run."""
        if not self._checkpoints:
            return 0, 0.0
        if not resume:
            self._checkpoints.clear()  # a later --resume must not continue from another run's
            return 0, 0.0
        with blamed(self._group.global_rank, "resuming"):
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
