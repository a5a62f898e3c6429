"""Runs a measuring program of ours on every node, and returns what rank 0 reports."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Sequence
from typing import Any

from harness.cli.run import end, printer
from harness.errors import HarnessError
from harness.networks.launch import launch
from harness.networks.network import Network
from harness.networks.rank_process import Stream


def rank_result(
    network: Network,
    module: str,
    words: Sequence[str],
    progress: Callable[[dict[str, Any]], None] = lambda message: None,
) -> dict[str, Any]:
    """Run a module on every node; the ``result`` that rank 0 prints as JSON. All other output is printed.

    Args:
        network: that is up.
        module: the program.
        words: its arguments.
        progress: called with each progress message of rank 0.

    Raises:
        typer.Exit: a rank failed.
        HarnessError: rank 0 printed no result.
    """
    result: dict[str, Any] = {}
    printed = printer(network.plan.size)

    def sink(rank: int, stream: Stream, line: bytes) -> None:
        message = _message(line) if (rank, stream) == (0, "stdout") else None
        if message is None:
            printed(rank, stream, line)
        elif "result" in message:
            result.update(message["result"])
        else:
            progress(message)

    end(launch(network.backend, network.plan, [network.backend.python, "-m", module, *words], sink))
    if not result:
        raise HarnessError("rank 0 ended without a result")
    return result


def _message(line: bytes) -> dict[str, Any] | None:
    """The message in a line of rank 0; None if it is other output."""
    with contextlib.suppress(ValueError):
        message = json.loads(line)
        if isinstance(message, dict) and ("result" in message or {"done", "total"} <= message.keys()):
            return message
    return None
