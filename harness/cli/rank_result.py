"""What a measuring program of ours, run on every node, says in the end on rank 0."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from harness.cli.run import end, printer
from harness.errors import HarnessError
from harness.networks.launch import launch
from harness.networks.network import Network
from harness.networks.rank_process import Stream


def rank_result(network: Network, module: str, words: Sequence[str]) -> dict[str, Any]:
    """Run a module on every node; the ``result`` of rank 0's JSON. All else that ranks print is shown.

    Ends the command where a rank fails. Raises HarnessError where there is no result.
    """
    result: dict[str, Any] = {}
    printed = printer(network.plan.size)

    def sink(rank: int, stream: Stream, line: bytes) -> None:
        if (rank, stream) == (0, "stdout") and line.startswith(b"{"):
            result.update(json.loads(line).get("result", {}))
        else:
            printed(rank, stream, line)

    end(launch(network.backend, network.plan, [network.backend.python, "-m", module, *words], sink))
    if not result:
        raise HarnessError("rank 0 ended without a result")
    return result
