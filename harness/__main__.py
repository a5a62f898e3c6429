"""Where the ``harness`` command starts, also as ``python -m harness``.

It imports next to nothing: until the rest is there, Ctrl-C just ends it.
"""

from __future__ import annotations

import gc
import signal


def main() -> None:
    """Import the command line with Ctrl-C as the kernel has it, and run it.

    Garbage collection rests meanwhile, and at the very end passes over what is there: it takes a tenth of the 0.1 s
    that a verb needs to start and end, and finds nothing.
    """
    gc.disable()  # cli/main.py enables it
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # it may be ignored on purpose
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from harness.cli.main import main as run

    try:
        run()
    finally:
        gc.freeze()


if __name__ == "__main__":
    main()
