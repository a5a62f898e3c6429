"""The ``harness`` command."""

from __future__ import annotations

import gc
import importlib
import os
import signal
import sys
from collections.abc import Sequence
from typing import Annotated, Final, Never

import typer
from typer.core import TyperGroup

from harness import __version__
from harness.cli import quick_params
from harness.errors import HarnessError, InputError
from harness.linux import host

VERBS: Final = {
    "profiles": ("profiles", "List network profiles"),
    "regions": ("regions", "List real regions"),
    "scenarios": ("scenarios", "List the scenarios that ship"),
    "plan": ("plan", "Print nodes, routes and every edge's shape"),
    "up": ("up", "Start a shaped network"),
    "run": ("run", "Start a network, run CMD on every node, end the network"),
    "exec": ("execute", "Run a program in one node or in all"),
    "link": ("link", "Show and change links: show, set, down, up"),
    "node": ("node", "Show and change uplinks, downlinks, CPUs: show, set"),
    "trunk": ("trunk", "Show and change the trunks between regions: show, set"),
    "partition": ("partition", "Cut the links between groups of nodes"),
    "heal": ("heal", "Set all links up again"),
    "traffic": ("traffic", "Send traffic that competes with a job: start, show, stop"),
    "capture": ("capture", "Record packets as they enter and leave links"),
    "play": ("play", "Play a scenario on a network that is up"),
    "verify": ("verify", "Measure RTT, jitter, loss and rate of every edge"),
    "bench": ("bench", "Time gloo's collectives over a sweep of sizes"),
    "predict": ("predict", "Predict time per step, compute utilisation, bytes"),
    "reproduce": ("reproduce", "Repeat published measurements on this machine"),
    "experiment": ("experiment", "Perform many runs from one file"),
    "report": ("report", "Report which run won where, by how much, and why"),
    "record-scenario": ("record_scenario", "Print the network changes of a run as a scenario"),
    "trace": ("trace", "Write one timeline of a run for Perfetto"),
    "ls": ("ls", "List the networks that are up"),
    "machines": ("machines", "Print on which machine each node is"),
    "compose": ("compose", "Print the file for docker compose up"),
    "stack": ("stack", "Print a stack for Docker Swarm"),
    "k8s": ("k8s", "Print a Kubernetes Job of nodes"),
    "image": ("image", "Build the image that containers run"),
    "doctor": ("doctor", "Test what works here, print how to fix the rest"),
    "down": ("down", "Remove a network and whatever runs in it"),
}
"""Verbs in the order of the help: the module that adds each, and how its help begins."""
LEVELS: Final = ("debug", "info", "warning")


class _Verbs(TyperGroup):
    def invoke(self, ctx: typer.Context) -> object:  # type: ignore[override]
        """Run the verb; if nobody reads standard output any more, exit with 141, as after SIGPIPE."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # Python flushes standard output at its end
            raise SystemExit(128 + signal.SIGPIPE) from None


# Without rich's markup: rich and its Markdown parser would double the time of --help.
app = typer.Typer(
    name="harness",
    cls=_Verbs,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    help="Real networks for distributed training on one Linux machine: netem-shaped links, real gloo, all measured.",
    epilog="Exit codes: 0 done; 1 a measurement is off; 2 wrong input; 3 network not up, up already or busy; "
    "69 the machine lacks something; 70 the kernel or a node refused; 77 not permitted; 130 interrupted. "
    "run and exec end with the program's own code.",
)


def _version(wanted: bool) -> None:
    if wanted:
        import platform

        from harness.shaping.detect import choose_engine, features
        from harness.shaping.facts import AUTO

        typer.echo(f"harness {__version__}")
        try:
            engine, _ = choose_engine(AUTO, features())
        except HarnessError as error:
            engine = f"none: {error}"
        typer.echo(f"engine {engine}")
        typer.echo(f"kernel {platform.release()}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_version,
            is_eager=True,
            help="Print the version, the engine that auto chooses, and the kernel.",
        ),
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Log to standard error, like HARNESS_LOG=debug (info, warning).")
    ] = False,
) -> None:
    """Shape links, run jobs across them, measure what they do."""
    if level := "debug" if verbose else os.environ.get("HARNESS_LOG"):
        _configure_logging(level)


def _configure_logging(level: str) -> None:
    """Log to standard error. Raises InputError for an unknown level."""
    import logging

    if level.lower() not in LEVELS:
        raise InputError(f"HARNESS_LOG={level}: write one of {', '.join(LEVELS)}")
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s", level=logging.WARNING)
    logging.getLogger("harness").setLevel(level.upper())
    logging.getLogger(__name__).debug("harness %s: %s", __version__, sys.argv[1:])


def _register(arguments: Sequence[str]) -> None:
    """Add the verb that is asked for; without one (help, a typing error), add all, with only their help.

    Importing all verbs takes longer than most of them do. Completion needs the options of every verb.
    """
    wanted = next((word for word in arguments if not word.startswith("-")), None)
    for name, (module, line) in VERBS.items():
        if wanted == name or "_HARNESS_COMPLETE" in os.environ:
            importlib.import_module(f"harness.cli.{module}").register(app)
        elif wanted not in VERBS:
            app.command(name, help=f"{line}.")(_never)


def _never() -> Never:
    """Stands for verbs that are only listed."""
    raise AssertionError("only the verb that the command line names is called")


def _ended(number: int, _: object) -> Never:
    """Let SIGTERM and SIGHUP unwind the stack like Ctrl-C, so that everything is removed."""
    raise SystemExit(128 + number)


def main() -> None:
    """Run the command line; errors become one line and an exit code."""
    quick_params.install()
    _register(sys.argv[1:])
    gc.enable()  # see __main__.py
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
        _print(error, error)
        sys.exit(error.exit_code)
    except OSError as error:
        _print(error, host.explain(error))
        sys.exit(HarnessError.exit_code)


def _print(error: Exception, text: object) -> None:
    """Print an error in one line, and its notes; log its traceback for debugging."""
    import logging

    from harness.cli.output import fail, note

    logging.getLogger(__name__).debug("traceback", exc_info=error)
    fail(text)
    for more in getattr(error, "__notes__", ()):
        note(more)


if __name__ == "__main__":
    main()
