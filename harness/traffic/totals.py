"""What a load has achieved: pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from harness.traffic.spec import TrafficSpec, frame_bytes, tcp_wire_bytes


@dataclass(frozen=True)
class Totals:
    """Counted since a load began, at both ends.

    Args:
        seconds: for which it has run.
        sent_bytes: that left the sender, on the wire: with frame headers. Of TCP: that were acknowledged, in full
            segments.
        received_bytes: that arrived, likewise.
        lost_packets: of UDP, those that are known not to arrive any more; of TCP, segments that were sent again.
    """

    seconds: float = 0.0
    sent_bytes: int = 0
    received_bytes: int = 0
    lost_packets: int = 0

    @property
    def bit_s(self) -> float:
        """The mean rate of what arrived, on the wire."""
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
    """What the programs at both ends have reported, as one.

    Args:
        spec: of the load.
        mtu: of the network.
        seconds: since it began.
        sender: ``packets`` of UDP; ``bytes`` and ``again`` of TCP.
        receiver: ``packets`` and ``highest`` of UDP; ``bytes`` of TCP.
        ended: whether nothing is under way any more.
    """
    if spec.flows:
        sent, received = (tcp_wire_bytes(side.get("bytes", 0), mtu) for side in (sender, receiver))
        return Totals(seconds, max(sent, received), received, sender.get("again", 0))
    sent, received = sender.get("packets", 0), receiver.get("packets", 0)
    sent = sent if ended else max(sent, received)  # both ends report at moments of their own
    due = sent if ended else receiver.get("highest", -1) + 1
    return Totals(seconds, sent * frame_bytes(mtu), received * frame_bytes(mtu), max(0, due - received))
