"""How the command line prints: results on standard output, everything else on standard error."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from typing import Any, Final

import typer

from harness.model.table import Column, Table

_STYLES: Final = {
    "bold": {"bold": True},
    "dim": {"dim": True},
    "red": {"fg": "red"},
    "green": {"fg": "green"},
    "yellow": {"fg": "yellow"},
}


def paint(text: str, style: str) -> str:
    """The text in a style, for a terminal; other places get it without (typer.echo), as does who sets NO_COLOR."""
    if not style or os.environ.get("NO_COLOR"):
        return text
    return typer.style(text, **_STYLES[style])  # type: ignore[arg-type]


def fail(error: object) -> None:
    """One line on standard error."""
    typer.echo(f"{paint('harness: error:', 'red')} {error}", err=True)


def note(text: object) -> None:
    """Something worth knowing, on standard error."""
    typer.echo(f"{paint('harness:', 'yellow')} {text}", err=True)


def say(text: object) -> None:
    """A result in words, on standard output."""
    typer.echo(str(text))


def print_json(value: Any) -> None:
    """JSON on standard output, for programs."""
    typer.echo(json.dumps(value, indent=2))


def table(title: str, *columns: str) -> Table:
    """An empty table; a column ends in ``>`` (right-aligned), ``,`` or ``~`` (breaks at commas or spaces)."""
    breaks = {",": ", ", "~": " "}
    return Table(title, [Column(name.rstrip(">,~"), name.endswith(">"), breaks.get(name[-1:], "")) for name in columns])


def show(made: Table) -> None:
    """Print a table: on a terminal as wide as that is, elsewhere in columns that programs can read."""
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    typer.echo("\n".join(made.lines(width, paint)))


@contextlib.contextmanager
def status(first: str) -> Iterator[Callable[[str], None]]:
    """A spinner with what is being done, on a terminal; yields the function that changes the text."""
    if not sys.stderr.isatty():
        yield lambda text: None
        return
    from harness.cli.console import err

    with err.status(first) as shown:
        yield lambda text: shown.update(text)
