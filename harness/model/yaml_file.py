"""Reads YAML that people write: every value knows its file, line and path, and its errors name them."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from harness.errors import MOST_QUOTED, HarnessError, InputError, quoted
from harness.model.suggest import suggest
from harness.model.units import Size, is_whole_number

if TYPE_CHECKING:
    from yaml.nodes import Node

MAX_FILE_BYTES: Final = 16 * 1024**2
_KINDS: Final = {
    stat.S_IFIFO: "a FIFO",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}
"""Kinds that are not read: reading one might block, or never end."""


def read_text(path: Path, error: type[HarnessError]) -> str:
    """The text of a file that a user named. Raises `error` where it cannot be read."""

    def unwaiting(name: str, flags: int) -> int:
        return os.open(name, flags | os.O_NONBLOCK)

    try:
        with open(path, "rb", opener=unwaiting) as file:
            if kind := _KINDS.get(stat.S_IFMT(os.fstat(file.fileno()).st_mode)):
                raise error(f"{path} is {kind}, not a file")
            data = file.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        raise error(f"{path}: there is no such file") from None
    except IsADirectoryError:  # Python's own open refuses it, and closes it
        raise error(f"{path} is a directory, not a file") from None
    except (OSError, ValueError) as cause:
        raise error(f"{path} cannot be read: {getattr(cause, 'strerror', None) or cause}") from None
    if len(data) > MAX_FILE_BYTES:
        raise error(f"{path} is over {Size(MAX_FILE_BYTES)}: not a file of this kind")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise error(f"{path} is not a text file (no UTF-8)") from None


def read_yaml(path: Path, error: type[InputError]) -> Entry:
    """The root of a YAML file. Raises `error` where the file is missing, empty or no YAML."""
    import yaml  # here, because importing it takes 30 ms

    text = read_text(path, error)
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as cause:
        mark = getattr(cause, "problem_mark", None)
        place = f"{path}:{mark.line + 1}" if mark else str(path)
        why = " ".join(part for name in ("context", "problem") if (part := getattr(cause, name, None)))
        why = " ".join((why or str(cause)).split())
        more = "..." if len(why) > MOST_QUOTED else ""
        raise error(f"{place}: this is not YAML: {why[:MOST_QUOTED]}{more}") from None
    except RecursionError:
        raise error(f"{path}: this is not YAML: nested too deeply") from None
    if node is None:
        raise error(f"{path} is empty")
    return Entry(str(path), "", node, error)


@dataclass(frozen=True)
class Entry:
    """A YAML node and its place, ``source:line: path``. Its methods raise `error` with that place."""

    source: str
    path: str
    node: Node
    error: type[InputError]

    def fault(self, why: object) -> InputError:
        """The error to raise: place and reason."""
        place = f"{self.source}:{self.node.start_mark.line + 1}: "
        return self.error(f"{place}{self.path}: {why}" if self.path else f"{place}{why}")

    @property
    def line(self) -> int:
        """Counted from 1."""
        return int(self.node.start_mark.line) + 1

    @property
    def is_list(self) -> bool:
        """Whether this is a sequence."""
        return self._kind == "sequence"

    @property
    def is_mapping(self) -> bool:
        """Whether this is a mapping."""
        return self._kind == "mapping"

    @property
    def is_scalar(self) -> bool:
        """Whether this is neither a list nor a mapping."""
        return self._kind == "scalar"

    @property
    def word(self) -> str:
        """A scalar as it is written, `yes` and `no` too."""
        if not self.is_scalar:
            raise self.fault(f"{self._in_words()} where a value is expected")
        return str(self.node.value)

    def says(self, word: str) -> bool:
        """Whether this is a scalar of just that word."""
        return self.is_scalar and str(self.node.value) == word

    @property
    def _kind(self) -> str:
        return str(getattr(self.node, "id", ""))

    def mapping(self, known: Iterable[str]) -> dict[str, Entry]:
        """The values by key. Raises for another kind of node, an unknown key, or one given twice."""
        known = list(known)
        if self._kind != "mapping":
            raise self.fault(
                f"{self._in_words()} where a mapping is expected, with keys such as {', '.join(known[:4])}"
            )
        values: dict[str, Entry] = {}
        for key_node, value_node in self.node.value:
            key = Entry(self.source, self.path, key_node, self.error)
            name = key_node.value
            if key._kind != "scalar":
                raise key.fault("a key must be a plain word")
            if name not in known:
                raise key.fault(f"unknown key {quoted(name)}; {suggest(name, known)}")
            if name in values:
                raise key.fault(f"key {quoted(name)} is given twice (first in line {values[name].line})")
            values[name] = Entry(self.source, f"{self.path}.{name}" if self.path else name, value_node, self.error)
        return values

    def named(self, example: str) -> dict[str, Entry]:
        """As `mapping`, with any keys, e.g. that of the example."""
        return self.mapping([str(key.value) for key, _ in self.node.value] if self.is_mapping else [example])

    def items(self) -> list[Entry]:
        """The members of a list."""
        if not self.is_list:
            raise self.fault(f"{self._in_words()} where a list is expected")
        return [
            Entry(self.source, f"{self.path}[{index}]", node, self.error) for index, node in enumerate(self.node.value)
        ]

    def text(self, expected: str) -> str:
        """A scalar as it is written, but no truth value and no null."""
        if self._kind != "scalar" or self._tag not in ("str", "int", "float", "timestamp"):
            raise self.fault(f"{self._in_words()} where {expected} is expected")
        return str(self.node.value)

    def whole_number(self, expected: str) -> int:
        """A whole number without sign."""
        text = self.text(expected)
        if not is_whole_number(text):
            raise self.fault(f"{quoted(text)} where {expected} is expected")
        return int(text)

    def _in_words(self) -> str:
        if self._kind != "scalar":
            return {"sequence": "a list", "mapping": "a mapping"}[self._kind]
        value = str(self.node.value)
        plain = {"null": "nothing", "bool": f"the truth value {value[:MOST_QUOTED]}"}
        words = plain.get(self._tag, quoted(value))
        return f"{words} with the tag {quoted(self._tag)}" if self._tag.startswith("!") else words

    @property
    def _tag(self) -> str:
        return str(self.node.tag).removeprefix("tag:yaml.org,2002:")
