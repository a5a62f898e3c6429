"""Performs runs on the machines of a Ray cluster: Ray chooses the machines; a run whose machine is lost is repeated."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from harness.errors import HarnessError
from harness.experiment.campaign import board, bootstrap
from harness.experiment.campaign.machines import History, Machine, alive
from harness.experiment.campaign.parcel import land, pack, pack_experiment
from harness.experiment.progress import RunProgress, progress_of
from harness.experiment.runner import Runner
from harness.experiment.runs import described_folder
from harness.experiment.side_by_side import Viewer, stop_signal
from harness.experiment.spec import Run
from harness.installed import identity, version
from harness.model.collectives_hook import COLLECTIVES
from harness.run_files import RunFolder, write_json
from harness.scenario.scenario_name import NONE

_TICK_SECONDS: Final = 0.5
_GRACE_SECONDS: Final = 70.0
"""Time for a machine to stop a run (side_by_side: 60) and to send its folder."""


@dataclass
class _Flight:
    """A run that was submitted to Ray."""

    run: Run
    history: History = field(default_factory=History)
    machine: str = ""
    """The id of its machine; empty until the run has begun."""


class Campaign:
    """The runs of one command on a cluster.

    Args:
        ray: the module, connected.
        runner: of the experiment.
        where: the experiment's options.
        nodes: number of nodes by a run's slug.
        cores: that each run takes, by its slug.
        view: shows the progress.

    Raises:
        InputError: the experiment's files cannot be sent to other machines.
    """

    def __init__(
        self,
        ray: Any,
        runner: Runner,
        where: Mapping[str, Any],
        nodes: Mapping[str, int],
        cores: Mapping[str, float],
        view: Viewer,
    ) -> None:
        self._ray, self._runner, self._where, self._view = ray, runner, where, view
        self._nodes, self._cores = nodes, cores
        self._flights: dict[Any, _Flight] = {}
        self._known: dict[str, Machine] = {}
        self._shown: set[str] = set()
        self._source = Path(described_folder(runner.folder)["source"])
        files = pack_experiment(self._source, runner.folder / "experiment.yaml")
        for module in (board, bootstrap):
            ray.cloudpickle.register_pickle_by_value(module)
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        self._board = ray.remote(num_cpus=0)(board.Board).options(scheduling_strategy=here).remote()
        self._task = ray.remote(max_retries=0)(bootstrap.perform)
        self._files = ray.put(files)

    def perform(self, todo: Sequence[Run]) -> None:
        """Perform runs. Raises HarnessError where one could not be performed.

        An exception here, Ctrl-C too, stops all runs; the folders of those that began are fetched.
        """
        try:
            for run in todo:
                self._start(_Flight(run))
            while self._flights:
                self._step()
        except BaseException as end:
            self._stop(stop_signal(end))
            raise

    def _start(self, flight: _Flight) -> None:
        run, machines = flight.run, self._machines()
        cores = self._cores[run.slug]
        flight.history.check(run.slug, cores, machines)
        flight.machine = ""
        options: dict[str, Any] = {"num_cpus": cores, "name": run.slug}
        if flight.history.refused:
            options["label_selector"] = {"ray.io/node-id": f"!in({','.join(flight.history.refused)})"}
        job = {
            "identity": identity(),
            "version": version(),
            "slug": run.slug,
            "name": self._runner.experiment.name,
            "source": self._source.name,
            "where": dict(self._where),
            "network": self._runner.name,
            "nodes": self._nodes[run.slug],
            "cores": cores,
            "together": {machine.id: machine.runs(cores) for machine in machines},
            "env": {name: os.environ[name] for name in (COLLECTIVES,) if name in os.environ},
        }
        folder = self._runner.folder_of(run).path
        before = self._ray.put(pack(folder)) if folder.exists() else None
        self._flights[self._task.options(**options).remote(job, self._files, before, self._board)] = flight

    def _machines(self) -> list[Machine]:
        found = alive(self._ray.nodes())
        self._known.update({machine.id: machine for machine in found})
        return found

    def _step(self) -> None:
        done, _ = self._ray.wait(list(self._flights), timeout=_TICK_SECONDS)
        self._read_board()
        for ref in done:
            self._ended(ref, self._flights.pop(ref))
        machines = self._machines()
        for flight in self._flights.values():
            if not flight.machine:
                flight.history.check(flight.run.slug, self._cores[flight.run.slug], machines)

    def _read_board(self) -> None:
        flights = {flight.run.slug: flight for flight in self._flights.values()}
        for slug, kind, what in self._ray.get(self._board.read.remote()):
            if kind == "note":
                self._runner.notify(what)
            elif (flight := flights.get(slug)) is None:  # of a try that was lost
                continue
            elif kind == "begin":
                if what not in flight.history.refused:  # else it is of an earlier try
                    flight.machine = what
            elif isinstance(what, RunProgress):
                self._show(flight.run)
                self._view.watch(flight.run, what)

    def _show(self, run: Run) -> None:
        if run.slug not in self._shown:
            self._shown.add(run.slug)
            self._view.begin(run)

    def _ended(self, ref: Any, flight: _Flight) -> None:
        run = flight.run
        try:
            flight.machine, (outcome, *rest) = self._ray.get(ref)  # that it has begun may come later
        except self._ray.exceptions.RayTaskError as problem:
            raise HarnessError(f"{run.slug} on {self._name(flight)}: {str(problem).splitlines()[-1]}") from None
        except self._ray.exceptions.RayError as problem:
            self._runner.notify(f"{run.slug}: {self._name(flight)} was lost: {_sentence(problem)}; doing it again")
            flight.history.lost.append(self._name(flight))
            self._start(flight)
            return
        if outcome == "done":
            self._show(run)
            self._view.end(run, *self._land(flight, rest[0]))
        elif outcome == "refused":
            self._runner.notify(f"{self._name(flight)} {rest[0]}")
            flight.history.refused[flight.machine] = self._name(flight), rest[0]
            self._start(flight)
        else:
            error = HarnessError(f"{run.slug} on {self._name(flight)}: {rest[0] if rest else 'was stopped there'}")
            error.exit_code = rest[1] if rest else HarnessError.exit_code
            raise error

    def _name(self, flight: _Flight) -> str:
        machine = self._known.get(flight.machine)
        return machine.name if machine else "a machine"

    def _land(self, flight: _Flight, data: bytes) -> tuple[Mapping[str, Any], RunProgress | None]:
        """Unpack the run's folder; returns its end.json, and its progress."""
        folder = self._runner.folder_of(flight.run)
        land(data, folder, lambda part: self._record(part, flight))
        since = float((folder.facts or {}).get("started", 0))
        progress = progress_of(self._runner.experiment, folder, self._nodes[flight.run.slug], since)
        progress.update()
        return folder.ending or {}, progress

    def _record(self, part: RunFolder, flight: _Flight) -> None:
        """Record the machine of the run, and the machines that were lost."""
        machine, lost = self._known.get(flight.machine), flight.history.lost
        about = {"name": machine.name, "host": machine.host} if machine else None
        scenario = None if flight.run.scenario == NONE else flight.run.scenario  # as at home
        there = {"machine": about, "lost_machines": lost, "scenario": scenario}
        write_json(part.path / "run.json", {**(part.facts or {}), **there})
        if lost and (ending := part.ending):
            notes = [*ending.get("notes", []), f"done again: {', '.join(lost)} was lost during it"]
            write_json(part.path / "end.json", {**ending, "notes": notes})

    def _stop(self, number: int) -> None:
        """Make the machines take down their networks, and unpack the folders that they send."""
        deadline = time.monotonic() + _GRACE_SECONDS
        with contextlib.suppress(self._ray.exceptions.RayError, HarnessError):
            self._ray.get(self._board.stop.remote(number), timeout=_GRACE_SECONDS / 2)
            self._read_board()
            begun = [ref for ref, flight in self._flights.items() if flight.machine]
            while begun and (left := deadline - time.monotonic()) > 0:
                done, begun = self._ray.wait(begun, timeout=left)
                for ref in done:
                    with contextlib.suppress(self._ray.exceptions.RayError):
                        self._flights[ref].machine, (outcome, *rest) = self._ray.get(ref)
                        if outcome == "done":
                            self._land(self._flights[ref], rest[0])


def _sentence(problem: BaseException) -> str:
    """The first sentence of the error."""
    text = next((line.strip() for line in str(problem).splitlines() if line.strip()), type(problem).__name__)
    return text.partition(". ")[0].rstrip(".")
