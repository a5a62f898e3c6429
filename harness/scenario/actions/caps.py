"""Events that change the limits of nodes (uplink, downlink, CPU share) and trunks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from harness.model.capacity_edit import NODE_LIMITS, node_change, trunk_change
from harness.model.yaml_file import Entry
from harness.scenario.action import Action, Edit
from harness.scenario.fields import CAP_KEYS, ActionReader, located, texts_of, yes


def _node(place: Entry, _: Path, __: int) -> Action:
    values = place.mapping(["ranks", *NODE_LIMITS, *CAP_KEYS])
    ranks = values["ranks"].word if "ranks" in values else "all"
    texts = texts_of(values, (*NODE_LIMITS, *CAP_KEYS))
    words = " ".join(f"{key} {text}" for key, text in texts.items())
    return Edit(f"node {ranks} {words}", located(place, lambda: node_change(ranks, texts)))


def _trunk(place: Entry, _: Path, __: int) -> Action:
    values = place.mapping(["regions", "one_way", "rate", *CAP_KEYS])
    regions = values["regions"].word if "regions" in values else "all"
    texts, one_way = texts_of(values, ("rate", *CAP_KEYS)), yes(values, "one_way")
    words = " ".join(f"{key} {text}" for key, text in texts.items())
    return Edit(f"trunk {regions} {words}", located(place, lambda: trunk_change(regions, texts, one_way=one_way)))


READERS: Final[Mapping[str, ActionReader]] = {
    "node": ActionReader("Uplinks, downlinks and shares of a CPU: `ranks`, and what `harness node set` takes.", _node),
    "trunk": ActionReader("What regions share: `regions`, and what `harness trunk set` takes; `one_way`.", _trunk),
}
