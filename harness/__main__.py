"""Where the ``harness`` command starts, also as ``python -m harness``.

It imports next to nothing: until the rest is there, Ctrl-C just ends it.
"""

from __future__ import annotations

import signal


def main() -> None:
    """Import the command line with Ctrl-C as the kernel has it, and run it."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # it may be ignored on purpose
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from harness.cli.main import main as run

    run()


if __name__ == "__main__":
    main()
