"""The totals of a load. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from harness.model.address import full_frame
from harness.traffic.spec import TrafficSpec, tcp_wire_bytes


@dataclass(frozen=True)
class Totals:
    """Counts since a load began, at both ends.

    Args:
        seconds: since its start.
        sent_bytes: on the wire, with frame headers; of TCP, what was acknowledged, as full segments.
        received_bytes: likewise.
        lost_packets: of UDP, those known to be lost; of TCP, retransmitted segments.
    """

    seconds: float = 0.0
    sent_bytes: int = 0
    received_bytes: int = 0
    lost_packets: int = 0

    @property
    def bit_s(self) -> float:
        """The mean rate of arrivals, on the wire."""
        return 8 * self.received_bytes / self.seconds if self.seconds > 0 else 0.0

    def to_json(self) -> dict[str, Any]:
        """Plain JSON in SI units."""
        return {**vars(self), "bit_s": self.bit_s}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of to_json."""
        return cls(data["seconds"], data["sent_bytes"], data["received_bytes"], data["lost_packets"])


def totals(
    spec: TrafficSpec, mtu: int, seconds: float, sender: Mapping[str, int], receiver: Mapping[str, int], *, ended: bool
) -> Totals:
    """The totals from the reports of both programs.

    Args:
        spec: of the load.
        mtu: of the network.
        seconds: since its start.
        sender: ``packets`` of UDP; ``bytes`` and ``again`` of TCP.
        receiver: ``packets`` and ``highest`` of UDP; ``bytes`` of TCP.
        ended: whether no packet is under way any more.
    """
    if spec.flows:
        sent, received = (tcp_wire_bytes(side.get("bytes", 0), mtu) for side in (sender, receiver))
        return Totals(seconds, max(sent, received), received, sender.get("again", 0))
    sent, received = sender.get("packets", 0), receiver.get("packets", 0)
    sent = sent if ended else max(sent, received)  # the ends report at different times
    due = sent if ended else receiver.get("highest", -1) + 1
    return Totals(seconds, sent * full_frame(mtu), received * full_frame(mtu), max(0, due - received))
