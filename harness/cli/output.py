"""Prints results on standard output, and everything else on standard error."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
import threading
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
_SILENT_SECONDS: Final = 2.0
_BETWEEN_SECONDS: Final = 10.0


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
    """Show what is being done, on standard error: on a terminal by a spinner, elsewhere by lines, if it takes long.

    Yields a function that changes the text.
    """
    if sys.stderr.isatty():
        from harness.cli.console import err

        with err.status(first) as shown:
            yield lambda text: shown.update(text)
        return
    texts, ended = [first], threading.Event()
    thread = threading.Thread(target=_note_the_last, args=(texts, ended), daemon=True)
    thread.start()
    try:
        yield texts.append
    finally:
        ended.set()
        thread.join()


def _note_the_last(texts: list[str], ended: threading.Event) -> None:
    """Print the last of the texts after two seconds, and then the newest from time to time."""
    pause, printed = _SILENT_SECONDS, ""
    while not ended.wait(pause):
        pause = _BETWEEN_SECONDS
        if texts[-1] != printed:
            printed = texts[-1]
            note(printed)
