"""The loads of a scenario. Each starts and stops in a thread, so that no change waits for it."""

from __future__ import annotations

import logging
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event
from typing import Final

from harness.errors import HarnessError
from harness.networks.network import Network
from harness.scenario.action import LoadAction
from harness.traffic.manager import CrossTraffic

_MOST: Final = 1000
"""Loads at once; each has a thread."""


class Loads:
    """The loads that a player has started.

    Args:
        network: a network that is up.
    """

    def __init__(self, network: Network) -> None:
        self._network = network
        self._pool = ThreadPoolExecutor(_MOST)
        self._over: dict[int, Event] = {}
        self._carried: list[Future[None]] = []

    def __bool__(self) -> bool:
        """Whether a load runs."""
        return bool(self._over)

    def begin(self, number: int, action: LoadAction) -> None:
        """Start the load of an event, unless it runs."""
        if number not in self._over:
            self._over[number] = over = Event()
            self._carried.append(self._pool.submit(self._carry, action, over))

    def end(self, number: int) -> None:
        """Stop the load of an event, if it runs."""
        if (over := self._over.pop(number, None)) is not None:
            over.set()

    def require(self) -> None:
        """Raise the error of a load that failed to start or to stop."""
        for done in [one for one in self._carried if one.done()]:
            self._carried.remove(done)
            done.result()

    def close(self) -> None:
        """Stop all loads and wait for their end."""
        for number in list(self._over):
            self.end(number)
        self._pool.shutdown()

    def _carry(self, action: LoadAction, over: Event) -> None:
        try:
            load = CrossTraffic(self._network, [action.spec], through_down=True, over=over)
        except HarnessError as error:
            if not over.is_set():
                raise
            text = "harness: %s: the event ended before the load started: %s"
            logging.getLogger(__name__).warning(text, action.text, error)
            return
        over.wait()
        load.stop()
