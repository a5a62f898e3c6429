"""Where the ``harness`` command starts. It imports next to nothing: until the rest is there, Ctrl-C just ends it."""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # not signal: to make its enums takes long enough to be interrupted


def main() -> None:
    """Import the command line with Ctrl-C as the kernel has it, and run it."""
    if _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:  # not where we were told to ignore it
        _signal.signal(_signal.SIGINT, _signal.SIG_DFL)
    from harness.cli.main import main as run

    run()
