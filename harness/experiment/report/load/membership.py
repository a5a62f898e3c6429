"""Reads membership.jsonl and away.jsonl: the process groups of a run, and the absences of ranks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from harness.experiment.membership import members_at
from harness.experiment.report.load.jsonl import Malformed, Oddities, number, parsed, whole
from harness.experiment.report.load.rank_records import Rank
from harness.experiment.report.load.records import RecordedAbsence, RecordedGroup

_AWAY: Final = ("kill", "pause", "cut", "failed")
_BACK: Final = ("back", "restarted")


def load_groups(path: Path, oddities: Oddities) -> tuple[RecordedGroup, ...]:
    """Every process group in the order of the file; a missing file has none."""
    return tuple(parsed(path, oddities, _group))


def load_absences(path: Path, oddities: Oddities) -> tuple[RecordedAbsence, ...]:
    """Every absence by its beginning; a missing file has none. ``of`` in a line names the cause of what it ends."""
    found: list[RecordedAbsence] = []
    for time, rank, what, of in parsed(path, oddities, _line):
        if what in _AWAY:
            found.append(RecordedAbsence(rank, what, time))
            continue
        for place, one in enumerate(found):
            if one.rank == rank and one.until is None and of in (None, one.cause):
                found[place] = replace(one, until=time)
    return tuple(found)


def present(ranks: Iterable[Rank], groups: Sequence[RecordedGroup]) -> tuple[Rank, ...]:
    """The ranks without the steps and evaluations of groups that they were not in."""
    if not groups:
        return tuple(ranks)
    known = [(group.step, group.members) for group in groups]

    def counts(rank: int, step: int) -> bool:
        return rank in (members_at(known, step) or ())

    return tuple(
        replace(
            rank,
            steps=tuple(step for step in rank.steps if counts(rank.rank, step.step)),
            evals=tuple(one for one in rank.evals if counts(rank.rank, one.step)),
        )
        for rank in ranks
    )


def _group(record: Mapping[str, Any]) -> RecordedGroup:
    return RecordedGroup(
        time=number(record, "time"),
        generation=whole(record, "generation"),
        members=_ranks(record, "members"),
        joined=_ranks(record, "joined"),
        lost=_ranks(record, "lost"),
        step=whole(record, "step"),
        state_bytes=whole(record, "state_bytes"),
        seconds=number(record, "seconds"),
    )


def _ranks(record: Mapping[str, Any], key: str) -> tuple[int, ...]:
    value = record.get(key)
    if not isinstance(value, list):
        raise Malformed(f"{key} is {value!r}, not a list of ranks")
    return tuple(whole({key: rank}, key) for rank in value)


def _line(record: Mapping[str, Any]) -> tuple[float, int, str, str | None]:
    what = record.get("what")
    if what not in (*_AWAY, *_BACK):
        raise Malformed(f"what is {what!r}")
    of = record.get("of")
    return number(record, "time"), whole(record, "rank"), what, of if isinstance(of, str) else None
