"""The TCP connections between nodes: congestion window and round trip over time, and totals."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median, quantiles

from harness.experiment.report.analysis.links import zeros
from harness.experiment.report.load.network_records import FlowRecord
from harness.experiment.report.load.records import RecordedRun


@dataclass(frozen=True)
class FlowTotals:
    """The totals of a flow.

    Args:
        flow: of the record.
        bytes: that the receiver acknowledged.
        retransmits: segments.
        rtt, rtt_p95: median and 95th percentile over its samples, in seconds.
        cwnd: median, in segments.
        bit_s: acknowledged, while it had data to send; None where it had none.
        rwnd_share: share of that time for which the receiver's window held it back.
    """

    flow: FlowRecord
    bytes: int
    retransmits: int
    rtt: float
    rtt_p95: float
    cwnd: float
    bit_s: float | None
    rwnd_share: float | None


def flow_name(flow: FlowRecord, alone: bool) -> str:
    """``0→1``; with ports where the two have several flows: ``0→1 :40001–29500``."""
    return f"{flow.src}→{flow.dst}" + ("" if alone else f" :{flow.src_port}–{flow.dst_port}")


def largest_flows(run: RecordedRun, most: int) -> list[tuple[str, FlowRecord]]:
    """(name, flow) of the flows that carried most, in the order of their ranks."""
    known = [flow for flow in run.flows if flow.samples]
    kept = sorted(known, key=lambda flow: -flow.samples[-1].acked_bytes)[:most]
    pairs = [(flow.attempt, flow.src, flow.dst) for flow in known]
    named = [(flow_name(flow, pairs.count((flow.attempt, flow.src, flow.dst)) == 1), flow) for flow in kept]
    return sorted(named, key=lambda one: (one[1].src, one[1].dst, one[1].src_port, one[1].attempt))


def flow_zeros(run: RecordedRun) -> dict[int, float]:
    """The zero of each attempt for flows; without any other, that of the first sample."""
    return zeros(run) or {1: min((flow.samples[0].time for flow in run.flows if flow.samples), default=0.0)}


def flow_totals(flow: FlowRecord) -> FlowTotals:
    """The totals of a flow with samples."""
    last, rtts = flow.samples[-1], [sample.rtt for sample in flow.samples]
    return FlowTotals(
        flow=flow,
        bytes=last.acked_bytes,
        retransmits=last.retransmits,
        rtt=median(rtts),
        rtt_p95=p95(rtts),
        cwnd=median(sample.cwnd for sample in flow.samples),
        bit_s=last.acked_bytes * 8 / last.busy if last.busy > 0 else None,
        rwnd_share=last.rwnd_limited / last.busy if last.busy > 0 else None,
    )


def p95(values: list[float]) -> float:
    """The 95th percentile."""
    return quantiles(values, n=20, method="inclusive")[-1] if len(values) > 1 else values[0]
