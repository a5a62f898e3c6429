"""The loads of a scenario. Each begins and ends beside the player, for both take a while: no change waits for them."""

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
"""Loads at once; a thread for each is made when it begins."""


class Loads:
    """Those that a player has begun.

    Args:
        network: that is up.
    """

    def __init__(self, network: Network) -> None:
        self._network = network
        self._pool = ThreadPoolExecutor(_MOST)
        self._over: dict[int, Event] = {}
        self._carried: list[Future[None]] = []

    def __bool__(self) -> bool:
        """Whether one goes on."""
        return bool(self._over)

    def begin(self, number: int, action: LoadAction) -> None:
        """Begin the load of an event, unless it goes on."""
        if number not in self._over:
            self._over[number] = over = Event()
            self._carried.append(self._pool.submit(self._carry, action, over))

    def end(self, number: int) -> None:
        """End the load of an event, if it goes on."""
        if (over := self._over.pop(number, None)) is not None:
            over.set()

    def require(self) -> None:
        """Raise what has kept a load from beginning or from ending."""
        for done in [one for one in self._carried if one.done()]:
            self._carried.remove(done)
            done.result()

    def close(self) -> None:
        """End all, and wait until they have ended."""
        for number in list(self._over):
            self.end(number)
        self._pool.shutdown()

    def _carry(self, action: LoadAction, over: Event) -> None:
        try:
            load = CrossTraffic(self._network, [action.spec], through_down=True, over=over)
        except HarnessError as error:
            if not over.is_set():
                raise
            logging.getLogger(__name__).warning("harness: %s: was over before it had begun: %s", action.text, error)
            return
        over.wait()
        load.stop()
