"""The figures of a report by name, for `--figure`, and their size on paper."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from harness.errors import InputError, quoted

FIGURES: Final = {
    "loss-time": "loss over wall time",
    "loss-bytes": "loss over bytes sent",
    "time-to-target": "time to the target; time-to-loss is the same",
    "communication": "computing and waiting per step",
    "bus-bandwidth": "bus bandwidth against the bound",
    "steps-compute": "what each step computed, over time",
    "steps-waiting": "what it waited for communication",
    "logged": "what a script logged; logged-NAME is one of them",
    "links-use": "what each edge sent as a share of its rate, over time",
    "links-rate": "what links sent",
    "links-dropped": "what they dropped",
    "links-backlog": "what was queued in them",
    "links-retransmitted": "what TCP retransmitted",
    "flows-rtt": "the round trip that TCP measured",
    "flows-cwnd": "TCP's congestion window",
    "topology": "the network with the shapes of its edges",
}
"""By name, and what they show. A figure of one place or run has its name behind that: ``loss-time-wan``."""
_ALIAS: Final = ("time-to-loss", "time-to-target")
_POINTS: Final = {"pt": 1.0, "": 1.0, "mm": 72 / 25.4, "cm": 72 / 2.54, "in": 72.0}


@dataclass(frozen=True)
class Paper:
    """The size of a figure on paper: of its font, and its whole width, in points (1/72 inch)."""

    font: float = 9.0
    width: float = 240.0


def checked_figure(name: str) -> str:
    """The name of a figure in files. Raises InputError for an unknown one."""
    name = name.strip().lower().replace(*_ALIAS, 1)
    if any(name == one or name.startswith(f"{one}-") for one in FIGURES):
        return name
    raise InputError(f"--figure: {quoted(name)} is unknown; there are {', '.join(FIGURES)}")


def points(text: str) -> float:
    """A width in points: ``240``, ``240pt``, ``85mm``, ``8.5cm``, ``3.3in``. Raises InputError outside 60 to 3000."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?) ?(pt|mm|cm|in|)", text.strip().lower())
    width = float(match[1]) * _POINTS[match[2]] if match else 0.0
    if not 60 <= width <= 3000:
        raise InputError(f"--width: {quoted(text)}: give 60 to 3000 points, or as mm, cm or in: 240pt, 85mm, 3.3in")
    return width
