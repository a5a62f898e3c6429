"""A change of a link's shape as a user writes it: texts by field, read before anything is touched."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from harness.errors import InputError
from harness.model.link import DISTRIBUTIONS, GilbertElliott, LinkShape
from harness.model.units import ZERO_RATIO, Rate, Ratio, Size, Time


def _or_none(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    return lambda text: None if text == "none" else parse(text)


def _jitter(text: str) -> Time | Ratio:
    return Ratio.parse(text) if "%" in text else Time.parse(text)


def _limit(text: str) -> int | None:
    if text == "auto":
        return None
    if not text.isdecimal():
        raise InputError(f"{text!r} is not a number of packets, or auto")
    return int(text)


def _distribution(text: str) -> str:
    if text not in DISTRIBUTIONS:
        raise InputError(f"{text!r} is unknown; one of {', '.join(DISTRIBUTIONS)}")
    return text


def _chain(text: str) -> GilbertElliott:
    parts = [Ratio.parse(part) for part in text.split(",")]
    if not 2 <= len(parts) <= 4:
        raise InputError(f"{text!r} is no chain; write P,R[,LOSS_BAD[,LOSS_GOOD]], e.g. 1%,20%,90%")
    return GilbertElliott(*parts)


_READERS: Final[Mapping[str, Callable[[str], Any]]] = {
    "delay": Time.parse,
    "jitter": _jitter,
    "distribution": _distribution,
    "loss": Ratio.parse,
    "loss_correlation": Ratio.parse,
    "gilbert_elliott": _or_none(_chain),
    "rate": _or_none(Rate.parse),
    "burst": _or_none(Size.parse),
    "queue": _or_none(Time.parse),
    "duplicate": Ratio.parse,
    "corrupt": Ratio.parse,
    "reorder": Ratio.parse,
    "limit": _limit,
}


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
                fields[key] = _READERS[key](text)
            except InputError as error:
                raise InputError(f"--{key.replace('_', '-')}: {error}") from None
        return cls(fields)

    def apply(self, shape: LinkShape) -> LinkShape:
        """The changed shape. One kind of loss replaces the other, and what takes away a rate takes its bucket too.

        Raises:
            ShapeError: the parts then contradict each other.
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
        if "rate" in values and values["rate"] is None:
            values.setdefault("burst", None)
        if "burst" in values and values["burst"] is None:
            values.setdefault("queue", None)
        return shape.changed(**values)
