"""Events that start cross traffic."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from harness.model.yaml_file import Entry
from harness.scenario.action import Action, LoadAction
from harness.scenario.fields import ActionReader, located
from harness.traffic.spec import parse_spec


def _traffic(place: Entry, _: Path, __: int) -> Action:
    values = place.mapping(["from", "to", "rate", "on", "off", "flows", "cc"])
    if not {"from", "to"} <= values.keys():
        raise place.fault("from and to are missing: the ranks that send and receive")
    ends = f"{values['from'].whole_number('a rank')}-{values['to'].whole_number('a rank')}"
    rate, on, off, congestion_control = (
        values[key].word if key in values else None for key in ("rate", "on", "off", "cc")
    )
    flows = values["flows"].whole_number("a number of flows") if "flows" in values else None
    spec = located(
        place,
        lambda: parse_spec(ends, rate=rate, on=on, off=off, flows=flows, congestion_control=congestion_control),
    )
    return LoadAction(f"traffic {ends.replace('-', '->')}: {spec.describe()}", spec)


READERS: Final[Mapping[str, ActionReader]] = {
    "traffic": ActionReader("A load: `from`, `to`, `rate` (and `on`, `off`) or `flows` (and `cc`).", _traffic),
}
