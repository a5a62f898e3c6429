"""``harness run --record``: makes the run folder, records the job, and prints a summary."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias

import typer

from harness.cli.output import note
from harness.errors import HarnessError
from harness.experiment.masked import masked
from harness.experiment.recording import Recording, check_volumes, network_facts, recorded_placement
from harness.experiment.report.load import load_experiment
from harness.experiment.run_folder import folder_name, new_run_folder
from harness.experiment.summary import summary
from harness.experiment.variants import OwnCommand
from harness.networks.launch import LaunchOutcome, launch
from harness.networks.network import Network
from harness.networks.placement import Placement
from harness.networks.rank_process import Stream
from harness.run_files import RunFolder

__all__ = ["check_volumes", "place", "recorded_job"]

Job: TypeAlias = Callable[..., LaunchOutcome]
"""Called with a network, a sink for lines of output, and options of launch."""
_NO_COLLECTIVES: Final = (
    "no collectives were recorded: no Python process of the job had a process group of torch.distributed, or it ignores"
    " PYTHONPATH (python -I or -E)"
)


def place(root: Path, command: Sequence[str]) -> Path:
    """The folder in which a run of this command would be recorded now."""
    return root / folder_name(OwnCommand(tuple(command)).name)


@contextlib.contextmanager
def recorded_job(
    root: Path,
    command: Sequence[str],
    placement: Placement,
    *,
    collectives: bool = False,
    scenario: str | None = None,
) -> Iterator[tuple[Placement, Job]]:
    """Record a job in a new folder, and print a summary at the end. If no folder can be made, the job runs unrecorded.

    Args:
        root: ``runs``.
        command: the program and its arguments.
        placement: of the network.
        collectives: whether each collective is recorded.
        scenario: that is played meanwhile, for run.json.

    Yields:
        The placement in which ranks see the folder, and the function that launches the command.
    """
    name = OwnCommand(tuple(command)).name
    try:
        folder = new_run_folder(root, name)
        placement = recorded_placement(placement, folder, collectives=collectives)
    except HarnessError as problem:
        note(f"this run is not recorded: {problem}")
        yield (
            placement,
            lambda network, show, **options: launch(network.backend, network.plan, command, show, **options),
        )
        return

    def job(network: Network, show: Callable[[int, Stream, bytes], None], **options: Any) -> LaunchOutcome:
        facts = {
            **network_facts(network, placement.congestion_control),
            "slug": folder.path.name,
            "label": name,
            "command": masked(command),
            "parameters": {},
            "measure": None,
            "limit_seconds": options["timeout"],
            "scenario": scenario,
        }
        with Recording(network, folder, facts, note, required=False, collectives=collectives) as recording:
            return _launch(recording, command, show, options)

    try:
        yield placement, job
    finally:
        with contextlib.suppress(OSError):  # it is empty if the network could not start
            folder.path.rmdir()
        if folder.path.is_dir():
            if collectives and not any(folder.path.glob("collectives-*.jsonl")):
                note(_NO_COLLECTIVES)
            _say_summary(folder)


def _launch(
    recording: Recording, command: Sequence[str], show: Callable[[int, Stream, bytes], None], options: dict[str, Any]
) -> LaunchOutcome:
    """Launch the command, and record how it ends."""
    network = recording.network

    def sink(rank: int, stream: Stream, line: bytes) -> None:
        show(rank, stream, line)
        recording.sink(rank, stream, line)

    def tick() -> bool:
        recording.tick()
        return False

    try:
        outcome = launch(
            network.backend,
            network.plan,
            command,
            sink,
            tick=tick,
            **{**options, "extra_env": {**recording.environ, **options.get("extra_env", {})}},
        )
    except (KeyboardInterrupt, SystemExit) as end:
        recording.end("stopped", code=end.code if isinstance(end, SystemExit) else 128 + signal.SIGINT)
        raise
    except HarnessError as error:
        recording.end("failed", code=error.exit_code, last_lines=[str(error)])
        raise
    recording.end(**recording.ending(outcome))
    return outcome


def _say_summary(folder: RunFolder) -> None:
    """Print at most ten lines on standard error."""
    note(f"recorded in {folder.path}; try: harness report {folder.path} --open")
    with contextlib.suppress(HarnessError):
        (run,) = load_experiment(folder.path).runs
        for name, text in summary(run):
            typer.echo(f"  {name:<11} {text}", err=True)
