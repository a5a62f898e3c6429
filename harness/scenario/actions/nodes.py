"""Events that take nodes away: kill, pause, cut, and availability traces."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from harness.errors import quoted
from harness.model.units import Ratio
from harness.model.yaml_file import Entry
from harness.networks.away import CAUSES, Cause
from harness.scenario.absence import Absence, AwayAction, Chosen
from harness.scenario.action import Action
from harness.scenario.availability_file import read_availability
from harness.scenario.fields import ActionReader, factor, located, refuse, yes
from harness.scenario.models import spot_preemption


@dataclass(frozen=True)
class Preemptions:
    """Endless absences, ascending; each iteration gives the same.

    Args:
        seed: of their times.
        speed: factor by which the model's time is shortened.
        text: for people.
    """

    seed: str
    speed: float
    text: str

    def __iter__(self) -> Iterator[Absence]:
        for taken in spot_preemption.draw(self.seed):
            chosen = Chosen(share=taken.share)
            yield Absence(taken.at / self.speed, chosen, taken.lasts / self.speed, self.text)


def _chosen(place: Entry, values: Mapping[str, Entry]) -> tuple[Chosen, str]:
    """The nodes, and their description. Raises InputError."""
    if len(values) != 1:
        raise place.fault("give node: a rank, several as [2, 3], or any; or share: of all nodes, e.g. 20%")
    if "share" in values:
        text = values["share"].text("a share, e.g. 20%,")
        share = located(values["share"], lambda: Ratio.parse(text)).value
        if not share:
            raise values["share"].fault("a share is over 0")
        return Chosen(share=share), f"{values['share'].word} of the nodes"
    entry = values["node"]
    if entry.says("any"):
        return Chosen(), "any node"
    entries = entry.items() if entry.is_list else [entry]
    ranks = [one.whole_number("a rank, a list of ranks, or any") for one in entries]
    if not ranks or len(set(ranks)) < len(ranks):
        raise entry.fault("give each rank once, at least one")
    words = ", ".join(map(str, sorted(ranks)))
    return Chosen(tuple(sorted(ranks))), f"{'node' if len(ranks) == 1 else 'nodes'} {words}"


def _away(cause: Cause) -> Callable[[Entry, Path, int], Action]:
    def read(place: Entry, _: Path, __: int) -> Action:
        chosen, words = _chosen(place, place.mapping(["node", "share"]))
        text = f"{cause} {words}"
        return AwayAction(text, cause, (Absence(0.0, chosen, None, text),))

    return read


def _availability(place: Entry, folder: Path, seed: int) -> Action:
    values = place.mapping(["file", "loop", "model", "seed", "speed", "by"])
    if ("file" in values) == ("model" in values):
        raise place.fault(f"give file: a CSV file with time_s,event,node, or model: {spot_preemption.NAME}")
    kind, unfit = ("file", ("seed", "speed")) if "file" in values else ("model", ("loop",))
    refuse(values, unfit, kind)
    word = values["by"].word if "by" in values else "kill"
    cause = next((one for one in CAUSES if one == word), None)
    if cause is None:
        raise values["by"].fault(f"{quoted(word)} is none of {', '.join(CAUSES)}")
    if kind == "model":
        return _preempted(values, cause, seed)
    name = values["file"].text("a file")
    absences, period = located(values["file"], lambda: read_availability(folder / name, cause))
    return AwayAction(f"availability {name}", cause, absences, period if yes(values, "loop") else None)


def _preempted(values: Mapping[str, Entry], cause: Cause, seed: int) -> AwayAction:
    name = values["model"].text("the name of a model")
    if name != spot_preemption.NAME:
        raise values["model"].fault(f"model {quoted(name)} is unknown; known: {spot_preemption.NAME}")
    speed = float(factor(values["speed"], "speed", "60 for an hour in a minute")) if "speed" in values else 1.0
    own = values["seed"].whole_number("a seed") if "seed" in values else seed
    return AwayAction(f"availability {name}", cause, Preemptions(str(own), speed, f"{cause} {name}"), math.inf)


READERS: Final[Mapping[str, ActionReader]] = {
    "kill": ActionReader(
        "All programs of nodes are killed: `node` (a rank, `[2, 3]`, or `any`: any but rank 0) or `share`."
        " `run` starts the rank again after `for` or `back`.",
        _away("kill"),
    ),
    "pause": ActionReader(
        "All programs of nodes are paused: `node` or `share`. They go on after `for` or `back`, or when playing ends.",
        _away("pause"),
    ),
    "cut": ActionReader("All links of nodes are down: `node` or `share`.", _away("cut")),
    "availability": ActionReader(
        "Nodes leave and come back as a file or a model says: `file`, `loop` or `model`, `seed`, `speed`; `by`"
        " (kill, which is the default, pause or cut).",
        _availability,
    ),
}
"""See harness.scenario.actions.READERS."""
