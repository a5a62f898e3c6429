"""How a field of a link is declared: once, in LinkShape. Options, YAML keys and JSON are made from that.

To add a field: declare it in ``LinkShape`` (link.py), give it a range in ``Profile`` (profile.py), a text in
``ShapeTexts`` (api/edges.py), let the engines make it (shaping/shape_branch.py) and verify it (verify/verdict/).
tests/unit/model/test_link_fields.py fails where one of these is missing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
from typing import Any, Final

from harness.errors import InputError, quoted
from harness.model.queueing import Buffer, buffer_from_json, buffer_to_json
from harness.model.units import Rate, Ratio, Size, Time


@dataclass(frozen=True)
class LinkField:
    """What there is to know of a field beside its name and default.

    Args:
        kind: what its value is: Rate, Time, Ratio, Size, Buffer, int, str (one of the choices) or a class with these as
            fields.
        json: its name in JSON, with the unit where it has one.
        help: of the option of ``harness link set``.
        off: the text that takes it away, or an empty string where zero does that.
        metavar: of that option; an empty string: Typer's.
        choices: the texts that a str can be.
        parse: reads the option's text, where it is not the kind's own parse that does.
    """

    kind: Any
    json: str
    help: str
    off: str = ""
    metavar: str = ""
    choices: tuple[str, ...] = ()
    parse: Callable[[str], Any] | None = None

    def read(self, text: str) -> Any:
        """The value that a user wrote. Raises InputError."""
        if self.off and text == self.off:
            return None
        if self.choices and text not in self.choices:
            raise InputError(f"{quoted(text)} is unknown; one of {', '.join(self.choices)}")
        return self.parse(text) if self.parse else getattr(self.kind, "parse", self.kind)(text)

    def to_json(self, value: Any) -> Any:
        """In SI units: bit/s, seconds, shares, packets, bytes."""
        if value is None or self.kind in (int, str):
            return value
        known = _JSON.get(self.kind)
        return known[0](value) if known else value.to_json()

    def from_json(self, value: Any) -> Any:
        """The inverse of to_json, exact for what that wrote."""
        if value is None or self.kind in (int, str):
            return value
        return _JSON[self.kind][1](value) if self.kind in _JSON else self.kind.from_json(value)


def link_field(kind: Any, json: str, help_: str, default: Any = None, **more: Any) -> Any:
    """A dataclass field that is a field of a link; see LinkField."""
    return field(default=default, metadata={"link": LinkField(kind, json, help_, **more)})


@lru_cache(maxsize=256)
def exact_ratio(share: float) -> Ratio:
    """The exact ratio that a float was written from."""
    return Ratio(Fraction(repr(share)))


_JSON: Final[dict[Any, tuple[Callable[[Any], Any], Callable[[Any], Any]]]] = {
    Rate: (lambda rate: rate.bit_s, Rate),
    Time: (lambda time: time.seconds, Time.from_seconds),
    Ratio: (float, exact_ratio),
    Size: (lambda size: size.bytes, Size),
    Buffer: (buffer_to_json, buffer_from_json),
}
