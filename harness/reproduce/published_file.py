"""Files of published measurements: those that ship, and a user's own. YAML::

    title: gloo's collectives under tc
    source: who measured it, where it is written, on what
    scale: 10            # bytes and rates are divided by it, unless --full; optional
    tolerance: 10%       # of the ratio to the bound
    explain: the likely reasons for a difference          # optional; printed where a figure differs
    cells:
      - {kind: collective, collective: all_reduce, nodes: 4, size: 128MiB, delay: 10ms, uplink: 1gbit,
         published: 2993ms}
      - {kind: utilisation, strategy: diloco, options: {H: 8}, nodes: 4, parameters: 1000000, step_time: 26ms,
         delay: 0.2ms, uplink: 1gbit, published: 12.35%}
      - {kind: tcp, congestion_control: cubic, delay: 20ms, rate: 100mbit, loss: 1%, published: 3.6mbit}

A cell's network is fully connected; delays are one way.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

from harness.errors import InputError, quoted
from harness.model.bound import COLLECTIVES
from harness.model.link import LINK_FIELDS, LinkShape
from harness.model.profile_file import is_profile_path, shipped_directory
from harness.model.suggest import suggest
from harness.model.units import Rate, Ratio, Size, Time
from harness.model.yaml_file import Entry, read_yaml
from harness.predict.exchanges import exchanges
from harness.reproduce.cell import Cell, Kind

PUBLISHED_KEYS: Final = {
    "title": "What it is, in one line.",
    "source": "Who measured it, where it is published, on which hardware.",
    "scale": "Bytes and rates are divided by it, unless --full is given; 1 unless given.",
    "tolerance": "By how much ratios to the bound may differ; 10 % unless given.",
    "explain": "Likely reasons for a difference.",
    "cells": "A list of figures.",
}
"""The keys of a file, with what they mean (docs/reference/)."""
CELL_KEYS: Final = {
    "kind": "collective, utilisation or tcp.",
    "published": "What was measured: a time, a share or a rate.",
    "delay": "One-way delay of every link.",
    "jitter": "Jitter of every link.",
    "rate": "Rate of every link; a tcp figure needs it.",
    "loss": "Loss of every link.",
    "uplink": "Rate that everything a node sends shares.",
    "nodes": "Number of nodes; a tcp figure has 2.",
    "collective": "For kind collective: its name, e.g. all_reduce.",
    "size": "For kind collective: its bytes, as nccl-tests counts them, e.g. 128MiB.",
    "strategy": "For kind utilisation: a strategy that ships.",
    "options": "Options of the strategy.",
    "parameters": "For kind utilisation: the number of parameters, each a float32.",
    "step_time": "For kind utilisation: the time that a step computes.",
    "congestion_control": "For kind tcp; cubic unless given.",
}
"""The keys of a figure, with what they mean."""
_LINK: Final = ("delay", "jitter", "rate", "loss")
_OF_KIND: Final[dict[str, tuple[str, ...]]] = {
    "collective": ("collective", "size", "nodes"),
    "utilisation": ("strategy", "options", "parameters", "step_time", "nodes"),
    "tcp": ("congestion_control",),
}
_NEEDED: Final[dict[str, tuple[str, ...]]] = {
    "collective": ("collective", "size", "nodes"),
    "utilisation": ("strategy", "parameters", "step_time", "nodes"),
    "tcp": ("rate",),
}
_FIGURES: Final[dict[str, Callable[[str], float]]] = {
    "collective": lambda text: Time.parse(text).seconds,
    "utilisation": lambda text: float(Ratio.parse(text).value),
    "tcp": lambda text: float(Rate.parse(text).bit_s),
}


@dataclass(frozen=True)
class Published:
    """The contents of a file.

    Args:
        name: of the file.
        title: for people.
        source: for people.
        scale: divides bytes and rates.
        tolerance: of the ratio to the bound.
        explain: for people; may be empty.
        cells: the figures.
    """

    name: str
    title: str
    source: str
    scale: float
    tolerance: float
    explain: str
    cells: tuple[Cell, ...]


def shipped_published() -> dict[str, Path]:
    """The files in the package, by name."""
    return {path.stem: path for path in sorted((shipped_directory() / "published").glob("*.yaml"))}


def load_published(name: str) -> Published:
    """Read a file without touching the machine.

    Args:
        name: of a file that ships, or the path of a file.

    Raises:
        InputError: the file is missing or wrong; with file, line and place.
    """
    shipped = shipped_published()
    if not is_profile_path(name) and name not in shipped:
        raise InputError(
            f"nothing published is called {quoted(name)}; {suggest(name, shipped)} (your own: ./NAME.yaml)"
        )
    path = Path(name) if is_profile_path(name) else shipped[name]
    root = read_yaml(path, InputError)
    values = root.mapping(PUBLISHED_KEYS)
    for key in ("title", "source", "cells"):
        if key not in values:
            raise root.fault(f"{key} is missing")
    cells = tuple(map(_cell, values["cells"].items()))
    if not cells:
        raise values["cells"].fault("there is no figure")
    tolerance = float(_read(values["tolerance"], Ratio.parse).value) if "tolerance" in values else 0.1
    scale = values["scale"].whole_number("a whole number") if "scale" in values else 1
    if not scale:
        raise values["scale"].fault("nothing is divided by 0")
    explain = values["explain"].word if "explain" in values else ""
    return Published(path.stem, values["title"].word, values["source"].word, scale, tolerance, explain, cells)


def _cell(entry: Entry) -> Cell:
    every = {key for keys in _OF_KIND.values() for key in keys}
    values = entry.mapping(CELL_KEYS)
    for key in ("kind", "published", "delay"):
        if key not in values:
            raise entry.fault(f"{key} is missing")
    kind = values["kind"].word
    if kind not in _OF_KIND:
        raise values["kind"].fault(f"{quoted(kind)} is unknown; {suggest(kind, _OF_KIND)}")
    for key in every - set(_OF_KIND[kind]):
        if key in values:
            raise values[key].fault(f"a cell of kind {kind} has no use for {key}")
    for key in _NEEDED[kind]:
        if key not in values:
            raise entry.fault(f"{key} is missing")
    shape = LinkShape(**{key: _read(values[key], LINK_FIELDS[key].read) for key in _LINK if key in values})
    published = _read(values["published"], _FIGURES[kind])
    if published <= 0:
        raise values["published"].fault("a figure is over 0")
    more: dict[str, Any] = {}
    if "uplink" in values:
        more["uplink"] = _read(values["uplink"], Rate.parse)
    if kind == "collective":
        if values["collective"].word not in COLLECTIVES:
            raise values["collective"].fault(f"unknown; {suggest(values['collective'].word, COLLECTIVES)}")
        more |= {"collective": values["collective"].word, "size": _read(values["size"], Size.parse).bytes}
    if kind == "utilisation":
        options = values["options"].named("H") if "options" in values else {}
        more |= {"strategy": values["strategy"].word, "options": {key: one.word for key, one in options.items()}}
        more["parameters"] = values["parameters"].whole_number("a number of parameters")
        more["step_time"] = _read(values["step_time"], Time.parse).seconds
    if kind == "tcp" and "congestion_control" in values:
        more["congestion_control"] = values["congestion_control"].word
    if "nodes" in values:
        more["nodes"] = values["nodes"].whole_number("a number of nodes")
        if more["nodes"] < 2:
            raise values["nodes"].fault("a figure is of 2 nodes or more")
    cell = Cell(cast(Kind, kind), published, shape, **more)
    if kind == "utilisation":
        _read(values["strategy"], lambda name: exchanges(name, cell.options, cell.parameters, cell.nodes))
    return cell


def _read(entry: Entry, read: Callable[[str], Any]) -> Any:
    try:
        return read(entry.word)
    except InputError as cause:
        raise entry.fault(cause) from None
