"""Events that change links at once: set, profile, down, up, partition, heal."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from harness.model.link import LINK_FIELDS
from harness.model.plan import NetworkPlan
from harness.model.plan_edit import crossing, parse_pairs, set_down, shape_change
from harness.model.yaml_file import Entry
from harness.scenario.action import Action, Edit
from harness.scenario.fields import ActionReader, edge_of, located, texts_of, yes


def _set(place: Entry, folder: Path, __: int) -> Action:
    values = place.mapping(["edge", "one_way", "clear", *LINK_FIELDS])
    edge, texts = edge_of(place, values), texts_of(values, tuple(LINK_FIELDS))
    if (trace := texts.get("delivery", LINK_FIELDS["delivery"].off)) != LINK_FIELDS["delivery"].off:
        texts["delivery"] = str(folder / trace)
    one_way, clear = yes(values, "one_way"), yes(values, "clear")
    words = " ".join(["set", edge, *(["clear"] if clear else []), *(f"{key} {text}" for key, text in texts.items())])
    return Edit(words, located(place, lambda: shape_change(edge, texts, one_way=one_way, clear=clear)))


def _profile(place: Entry, folder: Path, seed: int) -> Action:
    values = place.mapping(["edge", "name", "seed", "one_way"])
    edge = edge_of(place, values)
    if "name" not in values:
        raise place.fault("name is missing: of a profile, or its file")
    name = values["name"].text("a profile")
    own = values["seed"].whole_number("a seed") if "seed" in values else None
    found = str(folder / name) if "/" in name else name
    one_way = yes(values, "one_way")
    change = located(place, lambda: shape_change(edge, {}, one_way=one_way, profile=found, seed=own))
    return Edit(f"profile {edge} {name}", change)


def _down(down: bool) -> Callable[[Entry, Path, int], Action]:
    def read(place: Entry, _: Path, __: int) -> Action:
        values = place.mapping(["edge", "one_way"])
        edge, one_way = edge_of(place, values), yes(values, "one_way")

        def edit(plan: NetworkPlan) -> NetworkPlan:
            return set_down(plan, parse_pairs(edge, plan, one_way=one_way), down)

        return Edit(f"{'down' if down else 'up'} {edge}", edit)

    return read


def _partition(place: Entry, _: Path, __: int) -> Action:
    groups = place.text("groups of ranks, e.g. 0,1|2,3,")
    return Edit(f"partition {groups}", lambda plan: set_down(plan, crossing(groups, plan), True))


def _heal(place: Entry, _: Path, __: int) -> Action:
    if not place.says("all"):
        raise place.fault("write heal: all")
    return Edit("heal", lambda plan: set_down(plan, plan.edges, False))


READERS: Final[Mapping[str, ActionReader]] = {
    "set": ActionReader("New values of links: `edge`, and what `harness link set` takes; `one_way`, `clear`.", _set),
    "profile": ActionReader(
        "A whole new shape of links, drawn from a profile: `edge`, `name`, `seed`, `one_way`.", _profile
    ),
    "down": ActionReader("Links drop every packet: `edge`, `one_way`.", _down(True)),
    "up": ActionReader("Links that were down are up again: `edge`, `one_way`.", _down(False)),
    "partition": ActionReader("All links between groups of ranks are down: `0,1|2,3`.", _partition),
    "heal": ActionReader("All links are up again: `all`.", _heal),
}
