"""The start of the ``harness`` command, also as ``python -m harness``.

It imports almost nothing, so that Ctrl-C ends the command silently while the rest is imported.
"""

from __future__ import annotations

import gc
import signal
import sys


def main() -> None:
    """Import the command line, with the kernel's default for Ctrl-C, and run it.

    Garbage collection is off during imports and skips all objects at exit: it finds nothing, and takes a tenth of the
    0.1 s that a verb needs to start and end.
    """
    gc.disable()  # cli/main.py enables it
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # a caller may have ignored it
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        from harness.cli.main import main as run

        run()
    except ModuleNotFoundError as missing:
        package = (missing.name or __package__).partition(".")[0]
        if package == __package__:
            raise
        sys.exit(_lacks(package))
    finally:
        gc.freeze()


def _lacks(package: str) -> int:
    """Print that a package is missing, and how to install it; returns the exit code."""
    from harness.errors import UnavailableError
    from harness.installed import INSTALL

    print(f"harness: error: {sys.executable} lacks the package {package!r}: {INSTALL}", file=sys.stderr)
    return UnavailableError.exit_code


if __name__ == "__main__":
    main()
