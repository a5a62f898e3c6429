"""Reads single values of an experiment's file. An error gives file and line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from harness.errors import InputError, quoted
from harness.experiment.spec import MAX_RUNS
from harness.model.yaml_file import Entry


def located(entry: Entry, read: Callable[[], Any]) -> Any:
    """The result of `read`; adds the entry's file and line to an InputError."""
    try:
        return read()
    except InputError as error:
        raise entry.fault(error) from None


def several(entry: Entry, read: Callable[[Entry], Any]) -> list[Any]:
    """The result of `read` for each part of a list, or for a single value."""
    parts = entry.items() if entry.is_list else [entry]
    if not parts:
        raise entry.fault("an empty list: there is nothing to run")
    if len(parts) > MAX_RUNS:
        raise entry.fault(f"a list of {len(parts)}: an experiment has at most {MAX_RUNS} runs")
    return [read(one) for one in parts]


def count(entry: Entry, least: int = 1) -> int:
    """A whole number of at least ``least``."""
    value = entry.whole_number(f"a whole number from {least}")
    if value < least:
        raise entry.fault(f"{value} where a whole number from {least} is expected")
    return value


def seed(entry: Entry) -> int:
    """A seed."""
    return entry.whole_number("a seed, e.g. 0,")


def scalar(entry: Entry) -> str:
    """A value as it is written, also true or false."""
    kind = getattr(entry.node, "tag", "").removeprefix("tag:yaml.org,2002:")
    return str(entry.node.value) if kind == "bool" else entry.text("a value")


def truth(entry: Entry) -> bool:
    """true or false."""
    words = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
    if (word := scalar(entry).lower()) not in words:
        raise entry.fault(f"{quoted(word)} where true or false is expected")
    return words[word]


def number(text: str) -> float:
    """A text as a number. Raises InputError, without a place."""
    try:
        return float(text)
    except ValueError:
        raise InputError(f"{quoted(text)} where a number is expected") from None
