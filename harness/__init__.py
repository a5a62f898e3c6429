"""Real networks for distributed training on one Linux machine."""

from __future__ import annotations

from harness import public_names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from harness.api.call import Call as Call
    from harness.api.failures import HarnessWarning as HarnessWarning
    from harness.api.failures import RankError as RankError
    from harness.api.play import Play as Play
    from harness.api.program import Ended as Ended
    from harness.api.shaped import ShapedNetwork as ShapedNetwork
    from harness.api.start import network as network
    from harness.errors import HarnessError as HarnessError
    from harness.metrics import log as log
    from harness.metrics import step as step

__version__ = "0.1.0"

_API = {
    "Call": "harness.api.call",
    "Ended": "harness.api.program",
    "HarnessError": "harness.errors",
    "HarnessWarning": "harness.api.failures",
    "Play": "harness.api.play",
    "RankError": "harness.api.failures",
    "ShapedNetwork": "harness.api.shaped",
    "log": "harness.metrics",
    "network": "harness.api.start",
    "step": "harness.metrics",
}
"""The names that ``import harness`` offers, and their modules, which are imported on first use."""

public_names.install()


def __getattr__(name: str) -> Any:
    if name not in _API:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_API[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_API})
