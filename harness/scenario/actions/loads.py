"""Events that put a load on a path: cross traffic."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from harness.errors import InputError
from harness.model.yaml_file import Entry
from harness.scenario.action import Action, LoadAction
from harness.scenario.fields import ActionReader, texts_of
from harness.traffic.spec import parse_spec


def _traffic(place: Entry, _: Path, __: int) -> Action:
    values = place.mapping(["from", "to", "rate", "on", "off", "flows", "cc"])
    if not {"from", "to"} <= values.keys():
        raise place.fault("from and to are missing: the ranks that send and receive")
    ends = f"{values['from'].whole_number('a rank')}-{values['to'].whole_number('a rank')}"
    try:
        texts = texts_of(values, ("rate", "on", "off", "cc"))
        spec = parse_spec(
            ends,
            rate=texts.get("rate"),
            on=texts.get("on"),
            off=texts.get("off"),
            flows=values["flows"].whole_number("a number of flows") if "flows" in values else None,
            congestion_control=texts.get("cc"),
        )
    except InputError as cause:
        raise place.fault(cause) from None
    return LoadAction(f"traffic {ends.replace('-', '->')}: {spec.describe()}", spec)


READERS: Final[Mapping[str, ActionReader]] = {
    "traffic": ActionReader(
        "A load: `from`, `to`, `rate` (and `on`, `off`) or `flows` (and `cc`).",
        _traffic,
    ),
}
