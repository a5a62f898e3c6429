"""How long the machine stood still, or was busy with other programs, during a measurement."""

from __future__ import annotations

import threading
import time


class StallMeter:
    """Measures in a ``with`` block how long this process was ready to run and was not run, beyond 5 ms each time.

    ``share``, after the block, is that as a share of the block's time; 0 up to 6 %: the guest with one CPU has 3 % by
    its own work, and 12 to 13 % under scripts/stall-cpus.
    """

    share = 0.0

    def __enter__(self) -> StallMeter:
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        return self

    def __exit__(self, *_) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        begin = before = time.monotonic()
        stalled = 0.0
        while not self._ended.wait(0.002):
            now = time.monotonic()
            stalled += max(0.0, now - before - 0.005)
            before = now
        share = stalled / (before - begin)
        self.share = share if share > 0.06 else 0.0
