"""The declaration of a link's field, once, in LinkShape: options, YAML keys and JSON follow from it.

To add a field, see CONTRIBUTING.md; tests/unit/model/test_link_fields.py fails where a part is missing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from harness.errors import InputError, quoted
from harness.model.queueing import Buffer, buffer_from_json, buffer_to_json
from harness.model.units import Rate, Ratio, Size, Time


@dataclass(frozen=True)
class LinkField:
    """The properties of a field beside its name and default.

    Args:
        kind: of its value: Rate, Time, Ratio, Size, Buffer, int, str (one of the choices) or a class with these as
            fields.
        json: its name in JSON, with the unit where it has one.
        help: of the option of ``harness link set``.
        off: the text that removes it; empty: zero does that.
        metavar: of that option; empty: Typer's.
        choices: the texts that a str can be.
        parse: reads the option's text; None: the kind's own parse.
    """

    kind: Any
    json: str
    help: str
    off: str = ""
    metavar: str = ""
    choices: tuple[str, ...] = ()
    parse: Callable[[str], Any] | None = None

    def read(self, text: str) -> Any:
        """The value of a user's text. Raises InputError."""
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
        """The exact inverse of to_json."""
        if value is None or self.kind in (int, str):
            return value
        return _JSON[self.kind][1](value) if self.kind in _JSON else self.kind.from_json(value)


def link_field(kind: Any, json: str, help_: str, default: Any = None, **more: Any) -> Any:
    """A dataclass field that is a field of a link; see LinkField."""
    return field(default=default, metadata={"link": LinkField(kind, json, help_, **more)})


_JSON: Final[dict[Any, tuple[Callable[[Any], Any], Callable[[Any], Any]]]] = {
    Rate: (lambda rate: rate.bit_s, Rate),
    Time: (lambda time: time.seconds, Time.from_seconds),
    Ratio: (float, Ratio.from_float),
    Size: (lambda size: size.bytes, Size),
    Buffer: (buffer_to_json, buffer_from_json),
}
