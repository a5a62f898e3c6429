"""The models of links that ship, by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from harness.errors import InputError, quoted
from harness.model.suggest import suggest
from harness.scenario.models import fiveg_walk, lte_drive, starlink, wifi_busy
from harness.scenario.models.model import LinkModel

_ALL: Final = (lte_drive.MODEL, fiveg_walk.MODEL, starlink.MODEL, wifi_busy.MODEL)
MODELS: Final[Mapping[str, LinkModel]] = {one.name: one for one in _ALL}


def find_model(name: str) -> LinkModel:
    """The model of this name (`-` and `_` alike). Raises InputError, with the nearest one."""
    found = MODELS.get(name.strip().lower().replace("_", "-"))
    if found is None:
        raise InputError(f"model {quoted(name)} is unknown; {suggest(name, MODELS)}")
    return found
