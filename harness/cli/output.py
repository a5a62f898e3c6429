"""Prints results on standard output, and everything else on standard error."""

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
    """The text in a style, unless NO_COLOR is set; typer.echo removes the style where it writes to no terminal."""
    if not style or os.environ.get("NO_COLOR"):
        return text
    return typer.style(text, **_STYLES[style])  # type: ignore[arg-type]


def fail(error: object) -> None:
    """Print an error on standard error."""
    typer.echo(f"{paint('harness: error:', 'red')} {error}", err=True)


def note(text: object) -> None:
    """Print a remark on standard error."""
    typer.echo(f"{paint('harness:', 'yellow')} {text}", err=True)


def say(text: object) -> None:
    """Print a result in words on standard output."""
    typer.echo(str(text))


def print_json(value: Any) -> None:
    """Print JSON on standard output."""
    typer.echo(json.dumps(value, indent=2))


def table(title: str, *columns: str) -> Table:
    """An empty table; a column ends in ``>`` (right-aligned), ``,`` or ``~`` (breaks at commas or spaces)."""
    breaks = {",": ", ", "~": " "}
    return Table(title, [Column(name.rstrip(">,~"), name.endswith(">"), breaks.get(name[-1:], "")) for name in columns])


def show(made: Table) -> None:
    """Print a table: as wide as the terminal, or elsewhere in columns that programs can read."""
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    typer.echo("\n".join(made.lines(width, paint)))


@contextlib.contextmanager
def status(first: str) -> Iterator[Callable[[str], None]]:
    """Show a spinner with a text, on a terminal; yields a function that changes the text."""
    if not sys.stderr.isatty():
        yield lambda text: None
        return
    from harness.cli.console import err

    with err.status(first) as shown:
        yield lambda text: shown.update(text)
