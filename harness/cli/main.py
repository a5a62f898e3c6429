"""The ``harness`` command."""

from __future__ import annotations

import importlib
import os
import signal
import sys
from collections.abc import Sequence
from typing import Annotated, Final, Never

import typer

from harness import __version__
from harness.cli.output import fail, note
from harness.errors import HarnessError
from harness.linux import host

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


VERBS: Final = {
    "profiles": "profiles",
    "plan": "plan",
    "up": "up",
    "run": "run",
    "exec": "execute",
    "link": "link",
    "partition": "partition",
    "heal": "heal",
    "verify": "verify",
    "bench": "bench",
    "experiment": "experiment",
    "report": "report",
    "ls": "ls",
    "doctor": "doctor",
    "down": "down",
}
"""Verbs and the modules of this package that add them, in the order of the help."""


def _register(arguments: Sequence[str]) -> None:
    """Add the verb that is asked for, or all where it is none (help, completion, a typing error).

    To import and declare all of them takes longer than most verbs do.
    """
    wanted = arguments[0] if arguments and "_HARNESS_COMPLETE" not in os.environ else None
    for module in [VERBS[wanted]] if wanted in VERBS else VERBS.values():
        importlib.import_module(f"harness.cli.{module}").register(app)


def _ended(number: int, _: object) -> Never:
    """SIGTERM and SIGHUP unwind the stack like Ctrl-C, so that everything is taken down."""
    raise SystemExit(128 + number)


def main() -> None:
    """Run the command line; errors become one line and an exit code."""
    _register(sys.argv[1:])
    try:
        if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:  # see __main__.py
            signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, _ended)
        signal.signal(signal.SIGHUP, _ended)
        host.raise_open_files()
        app()
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
    except HarnessError as error:
        _tell(error, error)
        sys.exit(error.exit_code)
    except SystemExit:
        if type(sys.stdout).__name__ == "PacifyFlushWrapper":  # typer's, where nobody reads on: it would end with 1
            os._exit(128 + signal.SIGPIPE)
        raise
    except OSError as error:
        _tell(error, host.explain(error))
        sys.exit(HarnessError.exit_code)


def _tell(error: Exception, text: object) -> None:
    fail(text)
    for more in getattr(error, "__notes__", ()):
        note(more)


if __name__ == "__main__":
    main()
