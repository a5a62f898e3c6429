"""Where an agent starts: it can be stopped from the first moment on.

Process 1 of a container has no default signal actions: without a handler, ``docker stop`` would wait for its patience
to end while the rest is imported. A stop that comes while the settings are not yet read waits for that: what they say
wrong is wrong for every node, and Compose takes the exit code of the one that ends last.
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
        """From now on a stop ends with this code, or for None with that of the signal."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda number, _: os._exit(128 + number if code is None else code))
        if stops:
            os._exit(128 + stops[0] if code is None else code)

    return startup.main(end_with)
