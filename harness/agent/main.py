"""Where an agent starts: it can be stopped from the first moment on.

Process 1 of a container has no default signal actions: without a handler, ``docker stop`` would wait for its patience
to end while the rest is imported.
"""

import os
import signal


def main() -> int:
    """Run the agent; the exit code."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: os._exit(128 + number))
    from harness.agent import startup

    return startup.main()
