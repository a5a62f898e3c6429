"""A load as the user asks for it, and the limits on its path. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Self

from harness.errors import InputError, UnitError, quoted
from harness.model.address import full_frame, full_segment
from harness.model.format import count, format_rate, format_time
from harness.model.plan import NetworkPlan
from harness.model.units import Rate, Time, is_whole_number

MAX_FLOWS: Final = 256
DATAGRAM_HEADERS: Final = 28
"""Bytes of IPv4 and UDP."""


@dataclass(frozen=True)
class TrafficSpec:
    """A load in one direction: UDP at a rate, or TCP flows as fast as possible.

    Args:
        src: the rank that sends.
        dst: the rank that receives; not necessarily a neighbour.
        rate: of UDP, on the wire with frame headers, as for a link; None: TCP.
        flows: number of TCP connections; 0: UDP.
        congestion_control: of TCP; empty: the network's.
        on, off: UDP is sent for ``on`` seconds, then paused for ``off`` seconds, and so on; 0: always sent.
        seconds: how long it lasts; None: until it is stopped.
    """

    src: int
    dst: int
    rate: Rate | None = None
    flows: int = 0
    congestion_control: str = ""
    on: float = 0.0
    off: float = 0.0
    seconds: float | None = None

    @property
    def mean_rate(self) -> float | None:
        """Of UDP, with its pauses, in bit/s."""
        return None if self.rate is None else self.rate.bit_s * (self.on / (self.on + self.off) if self.on else 1)

    @property
    def reverse(self) -> TrafficSpec:
        """The same in the other direction."""
        return replace(self, src=self.dst, dst=self.src)

    def describe(self) -> str:
        """For people, e.g. ``UDP at 30 Mbit/s``."""
        if self.rate is None:
            by = f" with {self.congestion_control}" if self.congestion_control else ""
            return f"{count(self.flows, 'TCP flow')}{by}"
        pauses = f", {format_time(self.on)} on, {format_time(self.off)} off" if self.on else ""
        return f"UDP at {format_rate(self.rate)}{pauses}"

    def to_json(self) -> dict[str, Any]:
        """Plain JSON in SI units."""
        rest = {name: value for name, value in vars(self).items() if name not in ("rate", "seconds")}
        return {"rate_bit_s": self.rate.bit_s if self.rate else None, **rest, "for_seconds": self.seconds}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of to_json."""
        names = ("src", "dst", "flows", "congestion_control", "on", "off")
        rate = data["rate_bit_s"]
        same = {name: data[name] for name in names}
        return cls(rate=None if rate is None else Rate(rate), seconds=data["for_seconds"], **same)


def parse_spec(
    ends: str,
    *,
    rate: str | None = None,
    flows: int | None = None,
    congestion_control: str | None = None,
    on: str | None = None,
    off: str | None = None,
    seconds: float | None = None,
) -> TrafficSpec:
    """The load from A to B of ``A-B``, as the user wrote it. Raises InputError."""
    src, dst = _ends(ends)
    if (rate is None) == (flows is None):
        raise InputError(
            "traffic is either UDP at a rate, e.g. 30mbit, or a number of TCP flows: give a rate or flows, not both"
        )
    if rate is None:
        if on or off:
            raise InputError("on and off belong to a rate: TCP flows send all the time")
        if not isinstance(flows, int) or not 1 <= flows <= MAX_FLOWS:
            raise InputError(f"flows {quoted(flows)}: give 1 to {MAX_FLOWS}")
    elif congestion_control:
        raise InputError("a congestion control belongs to flows: UDP has none")
    if bool(on) != bool(off):
        raise InputError("on and off belong together, e.g. 2s and 5s")
    if seconds is not None and not 0 < seconds < float("inf"):
        raise InputError(f"seconds {seconds:g}: give more than 0")
    return TrafficSpec(
        src,
        dst,
        None if rate is None else Rate.parse(str(rate)),
        flows or 0,
        congestion_control or "",
        _period("on", on),
        _period("off", off),
        seconds,
    )


def _ends(text: str) -> tuple[int, int]:
    if not isinstance(text, str):
        raise InputError(f"traffic goes between two ranks, written as text, not {quoted(text)}; write e.g. '0-1'")
    a, dash, b = text.strip().partition("-")
    if not (dash and is_whole_number(a) and is_whole_number(b)):
        raise InputError(f"{quoted(text)}: traffic goes from A to B; write A-B with two ranks, e.g. 0-1")
    if int(a) == int(b):
        raise InputError(f"traffic {text}: a node does not send to itself over the network; name two ranks")
    return int(a), int(b)


def _period(name: str, text: str | None) -> float:
    """Seconds; 0 where the text is empty. Raises UnitError."""
    if not text:
        return 0.0
    try:
        period = Time.parse(str(text)).seconds
    except UnitError as error:
        raise UnitError(f"{name}: {error}") from None
    if not period:
        raise UnitError(f"{name} {text}: give more than 0")
    return period


def check_path(spec: TrafficSpec, plan: NetworkPlan) -> None:
    """Raise PlanError for an unknown rank, InputError where a link on the path is down."""
    for edge in plan.path(spec.src, spec.dst):
        if edge.down:
            raise InputError(
                f"traffic {spec.src}-{spec.dst} would cross {edge}, which is down; set it up first:"
                f" harness link up {edge.src}-{edge.dst}"
            )


def limits(spec: TrafficSpec, plan: NetworkPlan) -> Iterator[tuple[str, Rate]]:
    """Name and rate of what carries less than the load's rate on its path."""
    for name, rate in crossed(plan, spec.src, spec.dst):
        if spec.rate is not None and rate.bit_s < spec.rate.bit_s:
            yield name, rate


def crossed(plan: NetworkPlan, src: int, dst: int) -> Iterator[tuple[str, Rate]]:
    """Name and rate of all limits on the path between two nodes: edges, uplinks, downlinks and trunks."""
    for edge in plan.path(src, dst):
        up, down, trunk = plan.node_shape(edge.src).uplink, plan.node_shape(edge.dst).downlink, plan.trunk_of(edge.pair)
        if up:
            yield f"the uplink of node {edge.src}", up.rate
        if edge.shape.rate:
            yield f"edge {edge}", edge.shape.rate
        if trunk:
            yield f"trunk {trunk.name}", trunk.capacity.rate
        if down:
            yield f"the downlink of node {edge.dst}", down.rate


def tcp_wire_bytes(payload: int, mtu: int) -> int:
    """Bytes on the wire of that much TCP payload in full segments."""
    return round(payload * full_frame(mtu) / full_segment(mtu))
