"""The ``harness`` command."""

from __future__ import annotations

import signal
import sys
from typing import Annotated, Never

import typer

from harness import __version__
from harness.cli import bench, doctor, down, execute, link, ls, partition, plan, profiles, run, up, verify
from harness.cli.output import fail
from harness.errors import HarnessError

app = typer.Typer(
    name="harness",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help="Real networks for distributed training on one Linux machine: netem-shaped links, real gloo, all measured.",
    epilog="Exit codes: 0 done; 1 something measured is off; 2 wrong input; 3 network not up, up already or busy; "
    "69 the machine lacks something; 70 the kernel or a node refused; 77 not permitted; 130 interrupted. "
    "[b]run[/b] and [b]exec[/b] end with the program's own code.",
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"harness {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and end.")
    ] = False,
) -> None:
    """Shape links, run jobs across them, measure what they do."""


for verb in (profiles, plan, up, run, execute, partition, verify, bench, ls, doctor, down):
    verb.register(app)
app.add_typer(link.app, name="link")


def _ended(number: int, _: object) -> Never:
    """SIGTERM and SIGHUP unwind the stack like Ctrl-C, so that everything is taken down."""
    raise SystemExit(128 + number)


def main() -> None:
    """Run the command line; errors become one line and an exit code."""
    signal.signal(signal.SIGTERM, _ended)
    signal.signal(signal.SIGHUP, _ended)
    try:
        app()
    except HarnessError as error:
        fail(error)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(128 + signal.SIGPIPE)


if __name__ == "__main__":
    main()
