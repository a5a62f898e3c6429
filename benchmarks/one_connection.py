"""What one TCP connection gets of a lossy link, measured, against what `harness plan` says of it."""

from __future__ import annotations

from functools import partial
from typing import Final

from benchmarks.fidelity import OUTPUT, network, reshape
from benchmarks.report import Row, table
from benchmarks.tcp import goodput
from harness.model.format import format_factor, format_rate, format_shape
from harness.model.link import LinkShape
from harness.model.tcp import tcp_ceiling
from harness.model.units import Rate, Ratio, Time
from harness.networks.network import Network
from harness.shaping.detect import make_engine

WARM, SECONDS = 4.0, 16.0
LINKS: Final = (("100mbit", "20ms", "0%"), ("100mbit", "20ms", "0.1%"), ("100mbit", "20ms", "1%"),
                ("767mbit", "24ms", "0.1%"), ("50mbit", "100ms", "1%"), ("4mbit", "300ms", "5%"))  # fmt: skip
"""Rate, one-way delay and loss: those of ../docs/figures.md, then edges of wan, mobile and poor."""


def _row(net: Network, rate: str, delay: str, loss: str) -> Row:
    shape = LinkShape(rate=Rate.parse(rate), delay=Time.parse(delay), loss=Ratio.parse(loss))
    reshape(net, rate=shape.rate, delay=shape.delay, loss=shape.loss)
    said = tcp_ceiling(shape, shape).bit_s or 0.0
    spawn = partial(net.backend.spawn, stdio=OUTPUT)
    found = goodput(lambda rank, argv: spawn(rank, argv), str(net.plan.addressing.ipv4(1)), WARM, SECONDS)
    ratio = found / said
    return Row(
        format_shape(shape), f"{format_rate(found)}, said {format_rate(said)}: {format_factor(ratio)}",
        "0.5 × to 2 ×", 0.5 <= ratio <= 2,
    )  # fmt: skip


def main() -> None:
    """Measure and print."""
    with network(make_engine("userspace"), "line", 2) as net:
        rows = [_row(net, *link) for link in LINKS]
    table("One TCP connection (cubic), data one way", rows)
