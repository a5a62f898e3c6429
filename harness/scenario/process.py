"""A scenario that a process of its own plays while a job runs: neither waits for the other."""

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
"""What the process says when it has read the scenario and found the network."""
_END_SECONDS: Final = 10.0


class ScenarioProcess:
    """``harness play``, started as soon as a network is up, which begins when ``begin`` is called and ends with us.

    Args:
        network: its name.
        file: the scenario.
        steps: where the job says how far it is.
        tell: called at the end with each line that the user should read; None: they go to standard error at once, and
            so does a line for each change.
        seed: in place of the file's own.
        json: whether ``lines`` are to give the changes; they must be read, then.

    Raises:
        HarnessError: it cannot play.
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
        """The scenario's time is 0 now."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write("begin\n")
            self._process.stdin.flush()

    def lines(self) -> Iterator[str]:
        """Each change, as ``harness play --json`` prints it, until the process has ended."""
        assert self._process.stdout is not None
        yield from self._process.stdout

    def wait(self) -> int:
        """Its exit code, once it has ended."""
        return self._process.wait()

    def end(self) -> None:
        """End it: a change that is under way is made whole."""
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
