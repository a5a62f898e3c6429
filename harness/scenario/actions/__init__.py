"""The kinds of event of a scenario's file: a table of readers per family."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from harness.scenario.actions import caps, links, loads, nodes, ramps, traces
from harness.scenario.fields import ActionReader

READERS: Final[Mapping[str, ActionReader]] = {
    **links.READERS,
    **ramps.READERS,
    **traces.READERS,
    **caps.READERS,
    **loads.READERS,
    **nodes.READERS,
}
"""Readers by the key of an event that says what happens."""
