"""Plays a scenario in a process of its own, so that neither it nor the job waits for the other."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, Self

from harness.errors import HarnessError
from harness.linux import signals

READY: Final = "ready"
"""What the process prints when it has read the scenario and found the network."""
_END_SECONDS: Final = 10.0


class ScenarioProcess:
    """``harness play``: starts on a network that is up, waits for ``begin``, and ends with its ``with`` block.

    Args:
        network: the network's name.
        file: the scenario.
        steps: the file that the job writes its steps to.
        tell: called at the end with each message for the user; None: standard error gets messages and a line for each
            change at once.
        seed: in place of the file's own.
        json: whether ``lines`` gives the changes; it must be read then.

    Raises:
        HarnessError: the scenario cannot be played.
    """

    def __init__(
        self,
        network: str,
        file: Path,
        steps: Path | None = None,
        tell: Callable[[str], None] | None = None,
        *,
        seed: int | None = None,
        json: bool = False,
    ) -> None:
        given = ["--step-file", str(steps)] if steps else []
        given += ["--seed", str(seed)] if seed is not None else []
        given += ["--json"] if json else ["--quiet"] if tell else []
        self._tell = tell
        with signals.held():
            self._process = subprocess.Popen(
                [sys.executable, "-m", "harness", "play", str(file.absolute()), "--name", network, "--wait", *given],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE if tell else None,
                text=True,
            )
        assert self._process.stdout is not None
        if self._process.stdout.readline().strip() != READY:
            said = self._process.communicate()[1]
            raise HarnessError(f"scenario {file} cannot be played: {said.strip() if said else 'see above'}")

    def begin(self) -> None:
        """Start the scenario: its time is 0 now."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write("begin\n")
            self._process.stdin.flush()

    def lines(self) -> Iterator[str]:
        """The changes as ``harness play --json`` prints them, until the process ends."""
        assert self._process.stdout is not None
        yield from self._process.stdout

    def wait(self) -> int:
        """Wait for its end; the exit code."""
        return self._process.wait()

    def end(self) -> None:
        """End the process; it completes a change that it is making."""
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
        self.end()
        process.stdout.close()
        if self._tell and process.stderr:
            with process.stderr as said:
                for line in said:
                    self._tell(line.rstrip().removeprefix("harness: "))
