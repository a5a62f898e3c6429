"""Sends the frames of tests/support/frames.py from one node to another, and tells which came when."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from subprocess import Popen

from tests.support import frames
from tests.support.frames import Kind

_PROBE = Path(frames.__file__).with_name("frame_probe.py")
Spawn = Callable[[Sequence[str]], "Popen[bytes]"]
"""Starts Python with these arguments in a node, with pipes for input and output."""


@contextlib.contextmanager
def outcomes(
    sender: Spawn, receiver: Spawn, kinds: Sequence[Kind]
) -> Iterator[Callable[[float], dict[str, float | None]]]:
    """In the block, a function that sends all kinds once, waits so many seconds, and says of each kind by name how many
    seconds after it had left it came, or None."""
    orders = json.dumps([(n, kind.how, frame.hex()) for n, kind in enumerate(kinds) for frame in kind.frames])

    with _probe(receiver, "receive", *frames.GROUPS) as ask, _probe(sender, "send") as order:

        def send(wait: float) -> dict[str, float | None]:
            left = order(orders)
            time.sleep(wait)
            came = ask("")
            return {kind.name: came[str(n)] - left[str(n)] if str(n) in came else None for n, kind in enumerate(kinds)}

        yield send


@contextlib.contextmanager
def _probe(spawn: Spawn, *words: str) -> Iterator[Callable[[str], dict[str, float]]]:
    process = spawn([str(_PROBE), *words])
    assert process.stdin is not None
    assert process.stdout is not None

    def ask(line: str) -> dict[str, float]:
        process.stdin.write(line.encode() + b"\n")
        process.stdin.flush()
        return json.loads(process.stdout.readline())

    try:
        assert process.stdout.readline() == b"ready\n"
        yield ask
    finally:
        process.stdin.close()
        process.wait(20)
        process.stdout.close()
