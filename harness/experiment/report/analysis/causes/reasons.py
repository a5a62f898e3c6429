"""The sentence of each cause, with figures as evidence."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from harness.experiment.report.analysis.causes.advice import Cause
from harness.experiment.report.analysis.causes.changes import FeltChange
from harness.experiment.report.analysis.causes.edge_loads import CarriedLoad, EdgeLoad
from harness.experiment.report.analysis.causes.lost_time import StepNetwork
from harness.experiment.report.analysis.causes.waits import Waits
from harness.model.bound import WIRE_SHARE
from harness.model.format import count, format_number, format_part, format_rate, format_share, format_time

_DIGITS: Final = 2
_MENTIONED: Final = 0.1
"""Share of the time from which a second cause is mentioned."""
_TAIL: Final = 0.9
"""The quantile of waits that stands for steps in which packets were lost."""
APART: Final = "computing and waiting cannot be told apart without steps"
Lost = Mapping[Cause, float]


def computing(found: Waits, _: StepNetwork, lost: Lost) -> str:
    """Most of the time is computing."""
    second = max(lost, key=lost.__getitem__, default=None)
    also = ""
    if second and second != "unknown" and lost[second] >= _MENTIONED * found.seconds:
        also = f"; {_share(lost[second], found)} goes to {NAMES[second]}"
    computed = f"{_share(found.compute, found)} of a {found.unit} of {_time(found.step)}"
    return f"Bound by computing: {computed} is computing{also}."


def latency(found: Waits, network: StepNetwork, lost: Lost) -> str:
    """Round trips over links that have room."""
    trip = network.trip or 0.0
    often = len(found.talking)
    trips = format_number(lost["latency"] / often / trip, _DIGITS)
    where = f"a {found.unit}" if 2 * often > found.steps else f"in each of {often} steps of {found.steps}"
    return f"Bound by latency: {trips} round trips of {_time(trip)} {where}{_used(network)}."


def rate(found: Waits, network: StepNetwork, lost: Lost) -> str:
    """A link that is full."""
    busiest = network.busiest
    assert busiest
    where = _full(busiest)
    takes = f"the training's bytes take {_time(lost['rate'] / found.steps)} of a {found.unit} of {_time(found.step)}"
    return f"Bound by the rate: {where}, and {takes}."


def loss(found: Waits, network: StepNetwork, _: Lost) -> str:
    """Packets that are lost by chance."""
    lossiest = network.lossiest
    assert lossiest
    share, again = format_share(lossiest.loss, _DIGITS), count(network.retransmits, "segment")
    if lossiest.ceiling is not None and lossiest.rate is not None:
        room = format_part(lossiest.ceiling, lossiest.rate / WIRE_SHARE, _DIGITS)
        return f"Bound by loss: {share} loss lets TCP have {room} on {lossiest.name}; {again} sent again."
    return f"Bound by loss: {share} loss on {lossiest.name}, {again} sent again{_stood_still(found)}."


def queue(found: Waits, network: StepNetwork, lost: Lost) -> str:
    """Packets wait in a queue, or find it full."""
    queued, base = network.queued, network.trip or 0.0
    if queued and network.waits_in_queue:
        takes = queued.measured or base + queued.waiting
        trip = f"a round trip {queued.name} takes {_time(takes)}, {_time(queued.base or 0.0)} with empty queues"
        others = f"; {format_share(1 - network.own, _DIGITS)} of the bytes are other traffic"
        return f"Bound by a queue: {trip}{'' if network.own == 1 else others}."
    dropped = max(network.loads, key=lambda load: load.dropped)
    where = f"{dropped.name} dropped {format_share(dropped.drop_share, _DIGITS)} of its packets for want of room"
    again = count(network.retransmits, "segment")
    if network.tightest and network.tightest.rate and network.tightest.ceiling is not None:
        room = format_part(network.tightest.ceiling, network.tightest.rate / WIRE_SHARE, _DIGITS)
        return f"Bound by a queue: {where}, which lets TCP have {room}; {again} sent again."
    return f"Bound by a queue: {where}, {again} sent again{_stood_still(found)}."


def straggler(found: Waits, _: StepNetwork, __: Lost) -> str:
    """One rank computes longer than the others."""
    each, others = found.by_rank[found.slowest] / found.steps, found.compute / found.steps
    others_wait = "the other takes {} and waits" if len(found.by_rank) == 2 else "the others take {} and wait"
    longer = f"it computes {_time(each)} a {found.unit}, where {others_wait.format(_time(others))}"
    return f"Rank {found.slowest} is a straggler: {longer}, {_time(found.straggler)} in all."


def changed(change: FeltChange) -> str:
    """Steps took longer, or shorter, after a change."""
    at = change.moment.seconds
    when = "" if at is None else f" at {_time(at, 3)}"
    others = f", one of {change.changes} changes" if change.changes > 1 else ""
    took = f"steps took {_time(change.before)} before and {_time(change.after or 0.0)} after"
    if change.during is not None:
        took = f"the step that was under way took {_time(change.during)}, those before {_time(change.before)}"
    return f"Changed: {change.links}{when} ({change.what}{others}): {took}."


def machine(found: Waits, network: StepNetwork, lost: Lost) -> str:
    """Waits that the links do not explain."""
    waited = f"ranks wait {_time(lost['unknown'] / found.steps)} of a {found.unit} of {_time(found.step)}"
    trip = f"round trips take {_time(network.trip)}" if network.trip else "round trips have no delay"
    return f"Bound by this machine: {waited}, and its links do not explain it ({trip}{_used(network)}, no loss)."


def apart(found: Waits, network: StepNetwork, lost: Lost, cause: Cause) -> str:
    """A run without recorded steps."""
    under_way = f"data are under way for {_share(found.network, found)} of the time"
    if cause == "unknown":
        return f"Unknown: {under_way}, and the links do not explain it{_used(network)}; {APART}."
    if cause == "compute":
        return f"Not bound by the network: {under_way} at most{_used(network)}; {APART}."
    if cause == "latency":
        trips = f"over round trips of {_time(network.trip or 0.0)}"
        return f"Bound by latency: {under_way}, {trips}{_used(network)}; {APART}."
    if cause == "rate" and network.busiest:
        return f"Bound by the rate: {_full(network.busiest)}, {under_way}; {APART}."
    return f"{SENTENCES[cause](found, network, lost).removesuffix('.')}; {APART}."


def links_alone(loads: Sequence[EdgeLoad], status: str) -> str:
    """A run with counters of links at most."""
    if status == "failed":
        return "Unknown: it failed before steps or connections were recorded."
    use, name = max(((load.use or 0.0, load.name) for load in loads), default=(0.0, ""))
    known = f"; its busiest link {name} was {format_share(use, _DIGITS)} used" if use else ""
    return f"Unknown: neither steps nor connections were recorded{known}."


def unexplained(found: Waits, network: StepNetwork, lost: Lost) -> str:
    """Waits that the records do not explain."""
    missing = "the settings of its links" if network.loads else "the counters of its links"
    waited = f"ranks wait {_time(lost['unknown'] / found.steps)} of a {found.unit} of {_time(found.step)}"
    return f"Unknown: {waited}; {missing} were not recorded, so the cause is unknown."


SENTENCES: Final[Mapping[Cause, Callable[[Waits, StepNetwork, Lost], str]]] = {
    "compute": computing,
    "latency": latency,
    "rate": rate,
    "loss": loss,
    "queue": queue,
    "straggler": straggler,
    "unknown": unexplained,
}
NAMES: Final[Mapping[Cause, str]] = {
    "latency": "round trips",
    "rate": "the links' rate",
    "loss": "lost packets",
    "queue": "queues",
    "straggler": "waiting for the slowest rank",
    "changed": "the change",
    "unknown": "what cannot be attributed",
}


def _stood_still(found: Waits) -> str:
    if found.steps == 1:
        return ""
    ordered = sorted(found.network_of)
    slow, fast = ordered[int(_TAIL * (len(ordered) - 1))], ordered[int((1 - _TAIL) * (len(ordered) - 1))]
    return f"; one {found.unit} in ten waits {_time(slow)} or more, one in ten {_time(fast)} or less"


def _full(busiest: CarriedLoad) -> str:
    """``0->1 carried 9.1 of 767 Mbit/s``, ``the uplink of node 0 (20 Mbit/s) was busy 97 %``."""
    if isinstance(busiest, EdgeLoad):
        return f"{busiest.name} carried {format_part(busiest.bit_s, busiest.rate, _DIGITS)}"
    busy = format_share(min(1.0, busiest.use or 0.0), _DIGITS)
    return f"{busiest.name} ({format_rate(busiest.rate)}) was busy {busy}"


def _used(network: StepNetwork) -> str:
    use = network.busiest.use if network.busiest else None
    return "" if use is None else f"; the links are {format_share(use, _DIGITS)} used"


def _share(seconds: float, found: Waits) -> str:
    return format_share(min(1.0, seconds / found.seconds), _DIGITS)


def _time(seconds: float, digits: int = _DIGITS) -> str:
    return format_time(seconds, digits)
