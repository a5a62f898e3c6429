"""Checks the arguments of the Python API: a wrong type raises InputError before anything starts."""

from __future__ import annotations

import operator
import os
import shlex
from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias

from harness.errors import InputError, quoted

StrPath: TypeAlias = str | os.PathLike[str]
PROFILE: Final = "'none', a name, e.g. 'wan', or a YAML file"


def written(what: str, value: object, wanted: str) -> str:
    """The text, or the path as text. Otherwise raises InputError, which says to write ``wanted``."""
    found = os.fspath(value) if isinstance(value, os.PathLike) else value
    if not isinstance(found, str):
        raise InputError(f"{what}={quoted(value)}: write {wanted}")
    if "\0" in found:
        raise InputError(f"{what}={quoted(value)}: arguments, variables and paths cannot contain a NUL byte")
    return found


def written_or_none(what: str, value: object, wanted: str) -> str | None:
    """The same for an argument that may be None."""
    return None if value is None else written(what, value, wanted)


def whole(what: str, value: object, example: int) -> int:
    """The whole number as an int, also where it is e.g. NumPy's. Raises InputError."""
    try:
        return operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise InputError(f"{what}={quoted(value)}: write a whole number, e.g. {example}") from None


def whole_numbers(what: str, values: Sequence[int]) -> tuple[int, ...]:
    """The list as ints. Raises InputError."""
    try:
        return tuple(operator.index(value) for value in values)
    except TypeError:
        raise InputError(f"{what}={quoted(values)}: write a list of whole numbers, e.g. [0, 1]") from None


def several(what: str, values: Sequence[str], example: str) -> tuple[str, ...]:
    """The list as a tuple. Raises InputError for a single text."""
    if isinstance(values, str):
        raise InputError(f"{what}={quoted(values)}: write a list, e.g. [{example!r}]")
    return tuple(values)


def known_texts(what: str, given: Mapping[str, object], known: type[object]) -> dict[str, str]:
    """The values as the command line has them. Raises InputError for a key that the TypedDict ``known`` lacks."""
    if unknown := given.keys() - known.__annotations__.keys():
        raise InputError(f"{what}: there is no {sorted(unknown)[0]!r}; there are {', '.join(known.__annotations__)}")
    return {name: str(value) for name, value in given.items()}


def words(argv: Sequence[StrPath]) -> list[str]:
    """A program and its arguments as texts. Raises InputError."""
    if isinstance(argv, str | bytes | os.PathLike):
        raise InputError(f"exec: {quoted(argv)} is one text; write a list of words, e.g. {_split(os.fsdecode(argv))}")
    if not argv:
        raise InputError("exec: name a program")
    return [written(f"exec: argv[{place}]", word, f"text, e.g. {quoted(str(word))}") for place, word in enumerate(argv)]


def _split(line: str) -> list[str]:
    """The words of a line, as a shell splits it."""
    try:
        return shlex.split(line)
    except ValueError:  # an unmatched quotation mark
        return line.split()


def variables(env: Mapping[str, StrPath] | None) -> dict[str, str]:
    """Environment variables as texts. Raises InputError, which names the wrong one."""
    if not isinstance(env, Mapping | None):
        raise InputError(f"env={quoted(env)}: write a dict, e.g. {{'LR': '0.1'}}")
    made = {}
    for name, value in (env or {}).items():
        if not isinstance(name, str) or not name or "=" in name or "\0" in name:
            raise InputError(f"env: {quoted(name)} cannot be the name of a variable; write e.g. 'LR'")
        made[name] = written(f"env: {name}", value, f"text, e.g. {quoted(str(value))}")
    return made
