"""Performs a run on a machine of a cluster, as ``experiment run`` does, and packs its folder."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Final, Self

from harness.backends.netns.environ import program_environment
from harness.errors import HarnessError
from harness.experiment import side_by_side
from harness.experiment.campaign.parcel import pack, unpack
from harness.experiment.campaign.scratch import scratch
from harness.experiment.jobs import Slot
from harness.experiment.preflight import check_command, check_training
from harness.experiment.progress import RunProgress
from harness.experiment.runner import Runner
from harness.experiment.runs import new_folder
from harness.experiment.spec import Experiment, Run
from harness.experiment.spec_file import load_experiment
from harness.experiment.worker import placement_of, with_notes
from harness.linux import host

_OF_THE_MACHINE: Final = (2, 69, 77)
"""Exit codes of errors that another machine may not have: a missing file, program, kernel feature or privilege."""
_SAY_SECONDS: Final = 1.0
_LAST_WORD_SECONDS: Final = 5.0


def perform(job: Mapping[str, Any], files: bytes, before: bytes | None, board: Any) -> tuple[Any, ...]:
    """Perform a run; arguments and result are those of bootstrap.perform.

    ``job`` has slug, name (of the experiment), source (its file's name), where (its options), network (a name), nodes,
    together (how many such runs each machine may have at a time, by its id), env and cores.
    """
    with contextlib.suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, 0)  # Ray's workers have a niceness of 15, which what they start inherits
    try:
        with scratch() as folder:
            return _perform(job, files, before, board, folder)
    except (SystemExit, KeyboardInterrupt):
        return ("stopped",)
    except HarnessError as error:
        if error.exit_code in _OF_THE_MACHINE:
            return ("refused", f"cannot: {with_notes(error)}")
        return ("error", with_notes(error), error.exit_code)
    except OSError as error:
        return ("refused", f"cannot: {host.explain(error)}")


def _perform(job: Mapping[str, Any], files: bytes, before: bytes | None, board: Any, folder: Path) -> tuple[Any, ...]:
    unpack(files, folder / "files")
    source = folder / "files" / job["source"]
    experiment = load_experiment(source, check_options=False, name=job["name"])
    made = new_folder(folder, experiment, source, job["where"], time.localtime())
    run = next((run for run in experiment.runs() if run.slug == job["slug"]), None)
    if run is None:
        raise HarnessError(f"{job['source']} was changed since, and has no run {job['slug']}")
    if before is not None:
        unpack(before, made / run.slug)
    _check(experiment, run, job["nodes"])
    where, subnets = dict(job["where"]), (job["where"]["subnet"], job["where"]["subnet6"])
    slot = Slot(f"{job['network']}-{os.getpid()}", subnets)
    environ, together = _environ(job["env"], job["cores"]), job["together"].get(_machine(), 1)
    with _Telling(job["slug"], board) as telling:
        runner = Runner(experiment, made, slot.name, placement_of(where), telling.note, subnets, together)
        try:
            side_by_side.perform(
                [run], runner, [slot], where, {run.slug: job["nodes"]}, telling, tick=telling.tick, environ=environ
            )
        except (SystemExit, KeyboardInterrupt):
            if runner.folder_of(run).ending is None:
                raise
    return ("done", pack(made / run.slug))


def _machine() -> str:
    import ray

    return str(ray.get_runtime_context().get_node_id())


def _check(experiment: Experiment, run: Run, nodes: int) -> None:
    """Raise HarnessError where this machine lacks what the run starts."""
    if experiment.command:
        check_command(experiment.command, [run.values(nodes, "")], program_environment())
    else:
        check_training(experiment.task.name)


def _environ(ours: Mapping[str, str], cores: float) -> dict[str, str]:
    """The environment of a run: this machine's, without what Ray sets for a task of as many cores: threads per rank."""
    found = {**os.environ, **ours}
    if found.get("OMP_NUM_THREADS") == str(max(1, int(cores))):
        del found["OMP_NUM_THREADS"]
    return found


class _Telling:
    """Reports the progress of a run to the driver, and stops the run where the driver says so, or is gone.

    A thread does so: Ray takes back the cores of a task whose main thread waits for an actor, for the next run.
    """

    def __init__(self, slug: str, board: Any) -> None:
        self._slug, self._board = slug, board
        self._progress: RunProgress | None = None
        self._notes: SimpleQueue[str] = SimpleQueue()
        self._stop: int | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._tell, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(_LAST_WORD_SECONDS)

    def begin(self, run: Run) -> None:
        """bootstrap.perform has reported it."""

    def watch(self, run: Run, progress: RunProgress) -> None:
        """Report it within a second."""
        self._progress = progress

    def end(self, run: Run, ending: Mapping[str, Any], progress: RunProgress | None) -> None:
        """The run's folder says it."""

    def note(self, text: str) -> None:
        """Report a message for the user."""
        self._notes.put(text)

    def tick(self) -> None:
        """Raise SystemExit where the run is to stop."""
        if self._stop is not None:
            raise SystemExit(128 + self._stop)

    def _tell(self) -> None:
        import ray

        try:
            while not self._ended.wait(_SAY_SECONDS):
                self._say_all(ray)
            self._say_all(ray)
        except ray.exceptions.RayError:  # it ends with its driver
            self._stop = int(signal.SIGTERM)

    def _say_all(self, ray: Any) -> None:
        while not self._notes.empty():
            self._board.say.remote(self._slug, "note", self._notes.get())
        stop = ray.get(self._board.say.remote(self._slug, "progress", self._progress))
        self._stop = stop if stop is not None else self._stop
