"""A scenario that plays while a Python program uses the network."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

from harness.errors import HarnessError
from harness.scenario.played import Played
from harness.scenario.process import ScenarioProcess


class Play:
    """A playing scenario, from ``net.play(...)``.

    It ends after its last change, by ``stop()``, or with its ``with`` block or network.

    Args:
        network: the network's name.
        file: the scenario.
        steps: the file that jobs write their steps to.
        seed: in place of the file's own.

    Raises:
        HarnessError: the player cannot start.
    """

    def __init__(self, network: str, file: Path, steps: Path | None, seed: int | None) -> None:
        self._file, self._notes = file, list[str]()
        self._changes: list[Played] = []
        self._error: HarnessError | None = None
        self._process: ScenarioProcess | None = None
        self._stopped = False
        self.unreported = False
        """Whether it failed and ``wait`` has not raised the error yet."""
        begun = threading.Event()
        # The kernel ends the process with the thread that started it, so this thread stays.
        self._thread = threading.Thread(
            target=self._play, args=(network, steps, seed, begun), name="harness-play", daemon=True
        )
        self._thread.start()
        begun.wait()
        if self._process is None:
            assert self._error is not None
            raise self._error

    def _play(self, network: str, steps: Path | None, seed: int | None, begun: threading.Event) -> None:
        try:
            with ScenarioProcess(network, self._file, steps, self._notes.append, seed=seed, json=True) as process:
                process.begin()
                self._process = process
                begun.set()
                for line in process.lines():
                    self._changes.append(Played.from_json(json.loads(line)))
                code = process.wait()
            if code and not self._stopped:
                self._error, self.unreported = HarnessError("; ".join(self._notes) or f"exit code {code}"), True
                self._notes.clear()
        except HarnessError as error:
            self._error = error
        finally:
            begun.set()

    @property
    def changes(self) -> tuple[Played, ...]:
        """The changes so far."""
        return tuple(self._changes)

    def wait(self, timeout: float | None = None) -> tuple[Played, ...]:
        """Wait for the last change and return all of them.

        Raises:
            HarnessError: a change failed; the network is as the change before it left it.
            TimeoutError: the scenario still plays after ``timeout`` seconds; it continues.
        """
        self._thread.join(timeout)
        if self._thread.is_alive():
            raise TimeoutError(f"{self._file}: not over after {timeout:g} s")
        if self._error is not None:
            self.unreported = False
            raise self._error
        return self.changes

    def stop(self) -> tuple[Played, ...]:
        """End the scenario and return its changes; the network stays as it is. Raises HarnessError, see ``wait``."""
        self.end()
        return self.wait()

    def end(self) -> list[str]:
        """End the scenario; messages for the user, e.g. about events that have not happened."""
        self._stopped = self._stopped or self._thread.is_alive()
        if self._process is not None and self._thread.is_alive():
            self._process.end()
        self._thread.join()
        return self._notes

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        self.end() if kind else self.stop()
