"""``harness trace``: writes one timeline of a run for Perfetto."""

from __future__ import annotations

import gc
import io
import sys
from pathlib import Path
from typing import Annotated, Final

import typer

from harness.cli import options
from harness.cli.output import note, print_json, say, status
from harness.errors import InputError
from harness.model.format import count, format_size
from harness.run_files import replace_file

EPILOG: Final = options.examples(
    "harness trace",
    "harness trace runs/strategies-20261122-171742/wan.ring.ddp.seed0 -o run.json.gz",
    "harness trace latest/wan.ring.ddp.seed0 -o run.pftrace",
    "harness trace -o - | gzip > run.json.gz",
    then="Open the file at https://ui.perfetto.dev (it stays on your machine) or in chrome://tracing.",
)
_STDOUT: Final = Path("-")


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("trace", epilog=EPILOG)(trace)


def trace(
    folder: Annotated[
        Path | None,
        typer.Argument(
            metavar="[RUN]",
            help="runs/<id>/<slug>, or runs/<id> if it has one run; latest is the newest folder in runs.",
            show_default="latest",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="File to write: .json, .json.gz, .pftrace, .pftrace.gz (Perfetto's own); -: JSON to standard output.",
            show_default="RUN/trace.json.gz",
        ),
    ] = None,
    json_: options.JsonOption = False,
) -> None:
    """Write one timeline of a run for Perfetto: steps, collectives, links, TCP connections and changes."""
    from harness.experiment.report.load import load_experiment
    from harness.experiment.trace import timeline
    from harness.experiment.trace.pick import pick_run
    from harness.experiment.trace.write import ending, write_trace

    kind = ending(out) if out and out != _STDOUT else ".json" if out else ".json.gz"
    if json_ and out == _STDOUT:
        raise InputError("--json and -o - both write to standard output; leave one out")
    folder = pick_run(folder)
    with status("reading records") as show_step:
        experiment = load_experiment(folder)
        gc.freeze()  # garbage collection would search the records in vain, for a third of the time
        made = timeline(experiment.runs[0])
        if out == _STDOUT:
            sys.stdout.flush()
            write_trace(made, sys.stdout.buffer, kind, show_step)
            return
        path = out or folder / f"trace{kind}"
        if path.is_dir():
            raise InputError(f"-o {path} is a folder; name a file in it")
        if not path.parent.is_dir():
            raise InputError(f"-o {path}: there is no folder {path.parent}")
        written = io.BytesIO()
        summary = write_trace(made, written, kind, show_step)
        replace_file(path, written.getbuffer())
    notes = experiment.notes
    if notes:
        note(f"{count(len(notes), 'remark')} on the files; the first: {notes[0]}")
    if json_:
        print_json({"file": str(path), "run": experiment.runs[0].slug, "bytes": written.tell(), **summary})
    else:
        say(f"{path}: {count(summary['events'], 'event')}, {format_size(written.tell())}; open it at ui.perfetto.dev")
