"""Reads a strategy's options from texts or YAML values; checks names and types. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any, Final, Literal, get_args, get_origin, get_type_hints

from harness.errors import InputError, quoted
from harness.model.suggest import suggest

_WORDS: Final = dict.fromkeys(("true", "yes", "on", "1"), True) | dict.fromkeys(("false", "no", "off", "0"), False)


def read_options(strategy: str, kind: type[Any], given: Mapping[str, Any]) -> Any:
    """A strategy's options: the user's values, and defaults for the others.

    Args:
        strategy: its name, for messages.
        kind: the strategy's dataclass.
        given: texts, or values of the right type, by name.

    Raises:
        InputError: an unknown name, a value of the wrong type, or an invalid value.
    """
    types = get_type_hints(kind)
    known = [field.name for field in fields(kind)]
    for name in given:
        if name not in known:
            hint = suggest(name, known) if known else "it has none"
            raise InputError(f"strategy {strategy} has no option {quoted(name)}; {hint}")
    for field in fields(kind):
        if field.name not in given and field.default is MISSING and field.default_factory is MISSING:
            raise InputError(f"strategy {strategy}: option {quoted(field.name)} has no default: give it")
    values = {name: _value(f"strategy {strategy}: {name}", types[name], given[name]) for name in given}
    try:
        return kind(**values)
    except InputError as error:
        raise InputError(f"strategy {strategy}: {error}") from None


def at_least(name: str, value: float, least: float) -> None:
    """Raise InputError if the value is less than ``least``."""
    if value < least:
        raise InputError(f"{name}={value:g}: at least {least:g}")


def share(name: str, value: float) -> None:
    """Raise InputError unless 0 < value <= 1."""
    if not 0 < value <= 1:
        raise InputError(f"{name}={value:g}: a share over 0 and at most 1")


def under_one(name: str, value: float) -> None:
    """Raise InputError unless 0 <= value < 1, as for a momentum, a decay or a weight."""
    if not 0 <= value < 1:
        raise InputError(f"{name}={value:g}: at least 0 and under 1")


def positive(name: str, value: float) -> None:
    """Raise InputError unless value > 0, as for a learning rate."""
    if value <= 0:
        raise InputError(f"{name}={value:g}: over 0")


def _value(where: str, kind: Any, value: Any) -> Any:
    if get_origin(kind) is Literal:
        choices = get_args(kind)
        for choice in choices:
            if str(value) == str(choice):
                return choice
        raise InputError(f"{where}={value}: choose one of {', '.join(map(str, choices))}")
    if kind is bool:
        if (text := str(value).lower()) in _WORDS:
            return _WORDS[text]
        raise InputError(f"{where}={value}: write true or false")
    try:
        if isinstance(value, bool) or (kind is int and isinstance(value, float)):
            raise ValueError
        read = kind(value)
        if isinstance(read, float) and not math.isfinite(read):
            raise ValueError
        return read
    except (TypeError, ValueError):
        expected = {int: "a whole number", float: "a number", str: "a text"}.get(kind, str(kind))
        raise InputError(f"{where}={value}: write {expected}") from None
