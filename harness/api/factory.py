"""The type of what makes networks, for annotations of tests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from harness.api.arguments import StrPath
from harness.api.shaped import ShapedNetwork


class NetworkFactory(Protocol):
    """``harness.network``, and the fixture ``shaped_network``."""

    def __call__(
        self,
        nodes: int | None = None,
        topology: StrPath = "fully_connected",
        profile: StrPath = "wan",
        *,
        between: StrPath | None = None,
        seed: int = 0,
        subnet: str | None = None,
        subnet6: str | None = None,
        runtime: str | None = None,
        engine: str | None = None,
        congestion_control: str = "cubic",
        image: str | None = None,
        volumes: Sequence[str] = (),
        name: str | None = None,
    ) -> ShapedNetwork: ...
