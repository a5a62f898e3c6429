"""Starts the agent so that it can be stopped from the first moment on.

The kernel ignores signals to process 1 that have no handler: without one, ``docker stop`` would wait out its time limit
while the rest is imported. A stop that comes earlier takes effect once the settings are read: an error in them is the
same on every node, and Compose takes the exit code of the node that ends last.
"""

import os
import signal


def main() -> int:
    """Run the agent; the exit code."""
    stops: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: stops.append(number))
    from harness.agent import startup

    def end_with(code: int | None) -> None:
        """From now on a stop ends with this code; None: with the signal's."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda number, _: os._exit(128 + number if code is None else code))
        if stops:
            os._exit(128 + stops[0] if code is None else code)

    return startup.main(end_with)
