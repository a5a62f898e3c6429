"""``harness report``: reports the results of an experiment, as a page or in other formats."""

from __future__ import annotations

import importlib.util
import json
import webbrowser
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from harness.cli import options
from harness.cli.output import note, print_json, say, show, status
from harness.errors import InputError, UnavailableError, quoted
from harness.experiment.recorded import resolve
from harness.experiment.report.figure_names import FIGURES, Paper, checked_figure, points
from harness.installed import install_extra
from harness.model.format import count
from harness.model.suggest import suggest
from harness.run_files import replace_file

if TYPE_CHECKING:
    from harness.experiment.report.analysis import Analysis

EPILOG = options.examples(
    "harness report --open",
    "harness report runs/strategies-20261122-171742 --open",
    "harness report runs/strategies-20261122-171742 --format html,png,svg,pdf,csv,json,parquet",
    "harness report --figure time-to-loss --font 9 --width 84mm --format pdf",
    "harness report runs/strategies-20261122-171742 --json",
)
_IMAGES: Final = ("png", "svg", "pdf")
FORMATS: Final = ("html", *_IMAGES, "csv", "json", "parquet")
_NEEDS: Final = {
    **dict.fromkeys(("html", *_IMAGES), ("report", ("altair", "jinja2", "vl_convert"))),
    "parquet": ("parquet", ("pyarrow",)),
}
"""The extra that a format needs, and its packages."""


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("report", epilog=EPILOG)(report)


def report(
    folder: Annotated[
        Path | None,
        typer.Argument(
            help="runs/<id>, or one run of it: runs/<id>/<slug>; latest is the newest in runs.", show_default="latest"
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="File to write. csv and images are several files beside it, whose names begin with its name.",
            show_default=False,
        ),
    ] = None,
    formats: Annotated[
        str | None,
        typer.Option(
            "--format",
            help=f"Comma-separated: {', '.join(FORMATS)}. Default: the ending of --out, or html (pdf with --figure).",
            show_default=False,
        ),
    ] = None,
    figure: Annotated[
        str | None,
        typer.Option(
            "--figure",
            metavar="NAME",
            help=f"Write one figure, for a paper: {', '.join(FIGURES)}; or that of a place or run, e.g. loss-time-wan.",
            autocompletion=lambda: list(FIGURES),
            show_default=False,
        ),
    ] = None,
    font: Annotated[
        float | None,
        typer.Option(
            "--font", min=4, max=40, help="Font size of the figure in points; default: 9.", show_default=False
        ),
    ] = None,
    width: Annotated[
        str | None,
        typer.Option("--width", help="Width of the figure, e.g. 85mm or 3.3in; default: 240pt.", show_default=False),
    ] = None,
    open_: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
    json_: options.JsonOption = False,
) -> None:
    """Report which run won where, by how much, and why: one HTML page, images, CSV, JSON or Parquet."""
    from harness.experiment.report.analysis import analyse
    from harness.experiment.report.json_export import document
    from harness.experiment.report.load import load_experiment

    folder = resolve(folder)
    drawn = _figure(figure, font, width)
    wanted = (
        () if json_ and formats is None and out is None else wanted_formats(formats, out, "pdf" if drawn else "html")
    )
    if open_ and "html" not in wanted:
        raise InputError("--open shows the page: add html to --format, or leave --json out")
    if drawn and (others := [name for name in wanted if name not in _IMAGES]):
        raise InputError(f"--figure is an image, not {' or '.join(others)}: give --format {', '.join(_IMAGES)}")
    _require(wanted)
    with status("reading records") as show_step:
        analysis = analyse(load_experiment(folder))
        base = _without_format(out or folder / "report" / "report.html")
        written = _write_formats(analysis, base, wanted, drawn, show_step)
    if json_:
        print_json(document(analysis))
    else:
        _print_winners(analysis)
    for name, paths in written.items():
        text = paths[0] if len(paths) == 1 else f"{count(len(paths), f'{name} file')} in {base.parent}"
        note(text) if json_ else say(text)
    if open_ and not webbrowser.open(written["html"][0].absolute().as_uri()):
        note("no browser was found: open the file above yourself")


def _without_format(path: Path) -> Path:
    """The path without its ending, if that is a format: ``results-v1.5`` has none."""
    return path.with_suffix("") if path.suffix.lstrip(".").lower() in FORMATS else path


def _print_winners(analysis: Analysis) -> None:
    from harness.experiment.report.table import churn_table, reasons_table, winners_table

    show(winners_table(analysis))
    say("")
    show(reasons_table(analysis))
    if any(run.churn for run in analysis.runs):
        say("")
        show(churn_table(analysis))
    for run in analysis.experiment.runs:
        for text in run.end.notes if run.end else ():
            note(f"{run.slug}: {text}; this may have affected its results")
    notes = analysis.experiment.notes
    if notes:
        note(f"{count(len(notes), 'remark')} on the files, which the page and --json list; the first: {notes[0]}")


def _figure(name: str | None, font: float | None, width: str | None) -> tuple[str, Paper] | None:
    """The figure that is wanted, and its size; None: all figures."""
    if name is None:
        if font is not None or width is not None:
            raise InputError("--font and --width need --figure NAME")
        return None
    return checked_figure(name), Paper(
        Paper.font if font is None else font, Paper.width if width is None else points(width)
    )


def _write_formats(
    analysis: Analysis,
    base: Path,
    wanted: tuple[str, ...],
    figure: tuple[str, Paper] | None,
    show_step: Callable[[str], None],
) -> dict[str, list[Path]]:
    """Write every format; the files of each. ``base`` is their path without an ending."""
    written: dict[str, list[Path]] = {}
    if wanted:
        base.parent.mkdir(parents=True, exist_ok=True)
    for name in wanted:
        show_step(f"making {name}")
        if name == "html":
            from harness.experiment.report.image_export import vega_program
            from harness.experiment.report.page.page import make_page

            written[name] = [_write(base, name, make_page(analysis, vega_program()))]
        elif name in _IMAGES:
            from harness.experiment.report.image_export import write_images

            written[name] = []
            for path in write_images(analysis, f"{base.name}-", base.parent, name, *(figure or ())):
                show_step(f"making {name}: {path.name}")
                written[name].append(path)
            if figure and not written[name]:
                raise InputError(f"--figure: nothing was recorded for {quoted(figure[0])}")
        elif name == "csv":
            from harness.experiment.report.csv_export import write_csv

            written[name] = write_csv(analysis, f"{base.name}-", base.parent)
        elif name == "parquet":
            from harness.experiment.report.parquet_export import write_parquet

            written[name] = write_parquet(analysis, f"{base.name}-", base.parent)
        else:
            from harness.experiment.report.json_export import document

            written[name] = [_write(base, name, json.dumps(document(analysis), indent=2) + "\n")]
    return written


def _write(base: Path, ending: str, text: str) -> Path:
    """Replace the file in one step, so that a browser never loads half of it."""
    path = base.with_name(f"{base.name}.{ending}")
    replace_file(path, text.encode())
    return path


def wanted_formats(formats: str | None, out: Path | None, plain: str = "html") -> tuple[str, ...]:
    """The formats to write: those of --format, or the ending of --out, or ``plain``. Raises InputError."""
    if formats is None:
        ending = out.suffix.lstrip(".").lower() if out else plain
        if ending not in FORMATS:
            raise InputError(
                f"--out {out}: give a name that ends in {', '.join(f'.{one}' for one in FORMATS)}, or --format"
            )
        return (ending,)
    words = [word.strip() for word in formats.split(",") if word.strip()]
    for word in words:
        if word not in FORMATS:
            raise InputError(f"--format: {quoted(word)} is unknown; {suggest(word, FORMATS)}")
    if not words:
        raise InputError(f"--format is empty; give some of {', '.join(FORMATS)}")
    return tuple(dict.fromkeys(words))


def _require(wanted: tuple[str, ...]) -> None:
    for extra, packages in dict.fromkeys(_NEEDS[name] for name in wanted if name in _NEEDS):
        missing = [name for name in packages if importlib.util.find_spec(name) is None]
        if missing:
            need = [name for name in wanted if name in _NEEDS and _NEEDS[name][0] == extra]
            raise UnavailableError(
                f"{' and '.join(need)} need{'s' if len(need) == 1 else ''} {' and '.join(missing)}, "
                "which this Python lacks: " + install_extra(extra) + "; --format csv,json and --json work without"
            )
