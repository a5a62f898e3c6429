"""A program of a user's, for mypy alone: scripts/lint checks that it has these types, and that a misspelt word is one.

``--strict`` refuses a ``type: ignore`` of an error that is not there.
"""

from collections.abc import Callable
from pathlib import Path
from typing import assert_type

import harness


def step(lr: float) -> int:
    return 1


def test_x(shaped_network: Callable[..., harness.ShapedNetwork]) -> None:
    with harness.network(4, "ring", seed=2) as net:
        net.set("0-1", delay="1ms")
        net.exec([Path("program"), "word"], env={"FOLDER": Path("/tmp"), "LR": "0.1"})
    net = shaped_network(2, Path("pair.yaml"), profile=Path("slow.yaml"))
    assert_type(net.run(step, 0.1, timeout=3), list[int])
    assert_type(net.start(step, lr=0.1), harness.Call[int])
    net.set(delai="3ms")  # type: ignore[call-arg]
