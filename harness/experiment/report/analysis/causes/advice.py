"""What to change first, by cause, in terms of this package's strategies and options."""

from __future__ import annotations

from typing import Any, Final, Literal

from harness.experiment.report.load.records import RecordedRun

Cause = Literal["latency", "loss", "rate", "queue", "straggler", "compute", "changed", "unknown"]
_LAYERS_IN_TIME: Final = "streaming-diloco, which computes while it sends"


def advice(cause: Cause, run: RecordedRun, *, drops: bool = False) -> str:
    """What to change first; empty where nothing is known to help.

    ``drops``: whether a queue costs time by dropping packets; else they wait in it.
    """
    if cause == "latency":
        overlap = "a larger overlap" if run.strategy == "streaming-diloco" else _LAYERS_IN_TIME
        return f"communicate less often: {_rarer(run)}; then fewer and larger tensors, or {overlap}"
    if cause == "rate":
        return f"send fewer bytes: {_smaller(run)}; then a link with a higher rate"
    if cause == "loss":
        return f"{_congestion(run)}; then several connections side by side, or fewer bytes: {_smaller(run)}"
    if cause == "queue" and drops:
        return f"a larger queue (limit, in packets), or {_congestion(run)}"
    if cause == "queue":
        return f"keep other traffic off the link, or {_congestion(run)}; a shorter queue (limit) shortens the wait"
    return _OTHERS[cause]


_OTHERS: Final[dict[Cause, str]] = {
    "straggler": "find what slows this rank (its data, its processor); a larger H does not help: all wait for the last",
    "compute": "a faster processor, a smaller model or more ranks; another network would change little",
    "changed": "compare runs with and without the change; a strategy that sends less often feels it less",
    "unknown": "",
}


def _rarer(run: RecordedRun) -> str:
    every = _option(run, "H")
    return f"a larger H than {every}" if every else "fedavg or diloco with H local steps"


def _smaller(run: RecordedRun) -> str:
    if run.strategy == "ddp":
        if _option(run, "compress") in (None, "none"):
            return "compress=fp16 or powersgd, or diloco with H steps"
        return "diloco or fedavg with H local steps"
    if run.strategy == "streaming-diloco" and _option(run, "quantise") in (None, "none"):
        return f"quantise=int8, or {_rarer(run)}"
    return _rarer(run) if _option(run, "H") else "compression, or diloco with H local steps"


def _congestion(run: RecordedRun) -> str:
    if str(run.settings.get("congestion_control", "")).startswith("bbr"):
        return "several connections side by side"
    return "congestion control bbr (--congestion-control bbr)"


def _option(run: RecordedRun, name: str) -> Any:
    options = run.settings.get("options")
    return options.get(name) if isinstance(options, dict) else None
