"""Options declared once, as fields of frozen dataclasses; command line and JSON are derived from them. Pure."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import Field, field, fields, is_dataclass
from pathlib import Path
from types import NoneType
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from harness.errors import InputError, quoted
from harness.model.suggest import suggest
from harness.training import command

Options = TypeVar("Options")
_DECLARED = "declared"


def declared(
    default: Any,
    help_: str,
    *,
    flag: str | None = "",
    least: int = 1,
    choices: tuple[str, ...] = (),
    read: Callable[[str], Any] | None = None,
) -> Any:
    """A field that is an option.

    Args:
        default: its default value.
        help_: the text of ``--help`` and of the documentation.
        flag: its name on the command line; empty: the field's name, None: not an option of the command line.
        least: the smallest value of a whole number, 0 or 1.
        choices: the allowed values of a text; empty: any.
        read: parses the command line's text; None: by the field's type.
    """
    metadata = {_DECLARED: {"help": help_, "flag": flag, "least": least, "choices": choices, "read": read}}
    if isinstance(default, dict):
        return field(default_factory=lambda: dict(default), metadata=metadata)
    return field(default=default, metadata=metadata)


def flag_of(one: Field[Any]) -> str | None:
    """The name of a field on the command line, ``--evaluate-every``; None where it has none."""
    declaration = one.metadata.get(_DECLARED)
    if declaration is None or declaration["flag"] is None:
        return None
    return "--" + (declaration["flag"] or one.name.replace("_", "-"))


def help_of(one: Field[Any]) -> str:
    """The help text of a field."""
    return str(one.metadata[_DECLARED]["help"])


def least_of(one: Field[Any]) -> int:
    """The smallest value of a field that is a whole number."""
    return int(one.metadata[_DECLARED]["least"])


def add_arguments(parser: argparse.ArgumentParser, kind: type[Any]) -> None:
    """Add one argument per option of a dataclass to a parser, named after the field."""
    types = get_type_hints(kind)
    for one in fields(kind):
        if is_dataclass(types[one.name]):
            add_arguments(parser, types[one.name])
        elif flag := flag_of(one):
            parser.add_argument(flag, dest=one.name, help=help_of(one), **_argument(one, types[one.name]))


def _argument(one: Field[Any], kind: Any) -> dict[str, Any]:
    """The keyword arguments of add_argument for an option."""
    if kind is bool:
        return {"action": "store_true"}
    if get_origin(kind) is Mapping:
        return {"action": "append", "type": command.pair, "default": [], "metavar": "NAME=VALUE"}
    choices = get_args(kind) if get_origin(kind) is Literal else one.metadata[_DECLARED]["choices"]
    found: dict[str, Any] = {
        "default": one.default,
        "type": one.metadata[_DECLARED]["read"] or _reader(kind, least_of(one)),
    }
    return {**found, "choices": choices} if choices else found


def _reader(kind: Any, least: int) -> Callable[[str], Any]:
    """The parser of a text."""
    plain = next((part for part in get_args(kind) if part is not NoneType), kind)
    if plain is int:
        return command.count if least else command.whole
    return float if plain is float else Path if plain is Path else str


def from_arguments(kind: type[Options], parsed: argparse.Namespace, **given: Any) -> Options:
    """Make the dataclass from parsed arguments. Raises InputError.

    Args:
        kind: the dataclass.
        parsed: by a parser that ``add_arguments`` prepared.
        given: values of fields that are not options.
    """
    types, values = get_type_hints(kind), dict(given)
    for one in fields(kind):  # type: ignore[arg-type]
        if is_dataclass(types[one.name]):
            values[one.name] = from_arguments(types[one.name], parsed)
        elif flag_of(one):
            read = getattr(parsed, one.name)
            values[one.name] = dict(read) if isinstance(read, list) else read
    return kind(**values)


def to_json(options: Any) -> dict[str, Any]:
    """Plain JSON of a dataclass of options; from_json reads it back."""
    found = {}
    for one in fields(options):
        value = getattr(options, one.name)
        if is_dataclass(value):
            value = to_json(value)
        elif isinstance(value, Path):
            value = str(value)
        found[one.name] = dict(value) if isinstance(value, Mapping) else value
    return found


def from_json(kind: type[Options], data: Mapping[str, Any]) -> Options:
    """The inverse of to_json; a key that is missing has its default. Raises InputError for an unknown one."""
    types = get_type_hints(kind)
    values: dict[str, Any] = {}
    for name, value in data.items():
        if name not in types:
            raise InputError(f"unknown key {quoted(name)}; {suggest(name, list(types))}")
        wanted = types[name]
        if is_dataclass(wanted):
            values[name] = from_json(types[name], value)
        elif value is not None and Path in (wanted, *get_args(wanted)):
            values[name] = Path(value)
        else:
            values[name] = value
    return kind(**values)
