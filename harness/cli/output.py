"""How the command line prints: results on standard output, everything else on standard error."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from typing import Any

import typer
from rich.console import Console
from rich.table import Table


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Rich would end with 1, which means that something measured is off; main.py gives the exit code."""
        raise BrokenPipeError


out = _Console(highlight=False, soft_wrap=False)
err = _Console(stderr=True, highlight=False)


def fail(error: object) -> None:
    """One line on standard error."""
    err.print(f"[red]harness: error:[/red] {_plain(error)}", soft_wrap=True)


def note(text: object) -> None:
    """Something worth knowing, on standard error."""
    err.print(f"[yellow]harness:[/yellow] {_plain(text)}", soft_wrap=True)


def say(text: object) -> None:
    """A result in words, on standard output."""
    out.print(_plain(text), soft_wrap=True)


def print_json(value: Any) -> None:
    """JSON on standard output, for programs."""
    typer.echo(json.dumps(value, indent=2))


def table(title: str, *columns: str) -> Table:
    """An empty table; columns that end in ``>`` are right-aligned."""
    made = Table(title=title, title_justify="left", header_style="bold")
    for column in columns:
        made.add_column(column.rstrip(">"), justify="right" if column.endswith(">") else "left")
    return made


def show(made: Table) -> None:
    """Print a table; where the output is no terminal it is as wide as it needs to be."""
    if out.is_terminal:
        out.print(made)
    else:
        _Console(highlight=False, width=160).print(made)


@contextlib.contextmanager
def status(first: str) -> Iterator[Callable[[str], None]]:
    """A spinner with what is being done; yields the function that changes the text."""
    with err.status(first) as shown:
        yield lambda text: shown.update(text)


def _plain(text: object) -> str:
    return str(text).replace("[", "\\[")
