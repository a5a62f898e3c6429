"""A change of a link's shape as a user writes it: texts by field."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from harness.errors import InputError
from harness.model.link import LINK_FIELDS, LinkShape
from harness.model.units import ZERO_RATIO, Ratio, Time


@dataclass(frozen=True)
class ShapeEdit:
    """New values of some fields; a jitter may be a share of the delay."""

    fields: Mapping[str, Any]

    @classmethod
    def parse(cls, texts: Mapping[str, str]) -> Self:
        """Read texts by field name. Raises InputError that names the option."""
        fields: dict[str, Any] = {}
        for key, text in texts.items():
            try:
                fields[key] = LINK_FIELDS[key].read(text)
            except InputError as error:
                raise InputError(f"--{key.replace('_', '-')}: {error}") from None
        return cls(fields)

    def apply(self, shape: LinkShape) -> LinkShape:
        """The changed shape. Raises ShapeError where its fields contradict each other.

        One kind of loss replaces the other; rate and trace replace each other, too. Removing a rate or trace removes
        its queue, buffer, burst and overhead.
        """
        values = dict(self.fields)
        if isinstance(share := values.get("jitter"), Ratio):
            values["jitter"] = Time(round(values.get("delay", shape.delay).ns * share.value))
        if "loss" in values:
            values.setdefault("gilbert_elliott", None)
            if not values["loss"]:
                values.setdefault("loss_correlation", ZERO_RATIO)
        elif values.get("gilbert_elliott"):
            values |= {"loss": ZERO_RATIO, "loss_correlation": ZERO_RATIO}
        if values.get("delivery"):
            values = {"rate": None, "burst": None, "overhead": 0, "limit": None} | values
        elif values.get("rate"):
            values.setdefault("delivery", None)
        elif ("rate" if shape.delivery is None else "delivery") in values:
            values = {"burst": None, "queue": None, "buffer": None, "overhead": 0} | values
        if "burst" in values and values["burst"] is None:
            values.setdefault("buffer", None)
        if isinstance(values.get("queue"), Time):
            values["buffer"] = values.pop("queue")
        if values.get("burst", shape.burst) is None:  # then limit and queue or buffer replace each other
            if values.get("limit") is not None:
                values = {"queue": None, "buffer": None} | values
            elif values.get("queue") or values.get("buffer"):
                values.setdefault("limit", None)
        return shape.changed(**values)
