"""Real networks for distributed training on one Linux machine."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from harness.api import Call as Call
    from harness.api import Ended as Ended
    from harness.api import HarnessWarning as HarnessWarning
    from harness.api import NetworkFactory as NetworkFactory
    from harness.api import RankError as RankError
    from harness.api import ShapedNetwork as ShapedNetwork
    from harness.api import network as network
    from harness.errors import HarnessError as HarnessError

__version__ = "0.1.0"

_API = ("Call", "Ended", "HarnessError", "HarnessWarning", "NetworkFactory", "RankError", "ShapedNetwork", "network")
"""What ``import harness`` offers, imported when asked for: every command imports this file."""


def __getattr__(name: str) -> Any:
    if name not in _API:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from harness import api

    return getattr(api, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_API})
