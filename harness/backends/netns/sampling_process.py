"""Starts and stops the process that samples a network's nodes; see sampling.py."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from harness.errors import HarnessError
from harness.linux import signals

_PROGRAM: Final = Path(__file__).with_name("sampling.py")
_END_SECONDS: Final = 10.0


class SamplingProcess:
    """See Sampling. It ends with this process, even if that is killed, and with the network.

    Args:
        order: see sampling.main.

    Raises:
        HarnessError: it cannot sample; the message says why.
    """

    def __init__(self, order: Mapping[str, Any]) -> None:
        with signals.held():
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(_PROGRAM)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                start_new_session=True,
                cwd="/",
            )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._orders, self._answers = self._process.stdin, self._process.stdout
        try:
            with contextlib.suppress(BrokenPipeError):
                self._orders.write(json.dumps(order).encode() + b"\n")
                self._orders.flush()
            answer = json.loads(self._answers.readline() or b'{"error": "its process ended at once"}')
            if "error" in answer:
                raise HarnessError(f"links and flows cannot be recorded: {answer['error']}")
            os.set_blocking(self._answers.fileno(), False)
        except BaseException:
            self._end()
            raise
        self._rest = b""

    def messages(self) -> list[str]:
        while data := self._answers.read1(1 << 16):  # type: ignore[attr-defined]
            self._rest += data
        *lines, self._rest = self._rest.split(b"\n")
        return [json.loads(line)["say"] for line in lines]

    def stop(self) -> list[str]:
        if self._answers.closed:
            return []
        self._orders.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_END_SECONDS)
        messages = self.messages()
        self._end()
        return messages

    def _end(self) -> None:
        self._process.kill()
        self._process.wait()
        with contextlib.suppress(BrokenPipeError):
            self._orders.close()
        self._answers.close()
