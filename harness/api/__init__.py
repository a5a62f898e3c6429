"""Networks for Python programs and tests: ``import harness`` offers all this."""

from harness.api.call import Call
from harness.api.errors import HarnessWarning, RankError
from harness.api.factory import NetworkFactory
from harness.api.job import Ended
from harness.api.shaped import ShapedNetwork
from harness.api.start import network
from harness.errors import HarnessError

__all__ = [
    "Call",
    "Ended",
    "HarnessError",
    "HarnessWarning",
    "NetworkFactory",
    "RankError",
    "ShapedNetwork",
    "network",
]
