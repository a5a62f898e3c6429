"""How many runs go on at a time, and the network name and subnets of each."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from harness.errors import InputError, quoted
from harness.experiment.runner import Subnets
from harness.experiment.spec import Experiment
from harness.model.address import Addressing
from harness.model.units import is_whole_number

AUTO: Final = "auto"


@dataclass(frozen=True)
class Slot:
    """The network name and the subnets of one of several runs at a time."""

    name: str
    subnets: Subnets


def read_jobs(text: str, nodes: int, runs: int) -> int:
    """How many runs at a time. Raises InputError.

    Args:
        text: a whole number, or ``auto``: cores of this machine / nodes.
        nodes: of the largest network.
        runs: the number of runs, which is the most.
    """
    if text == AUTO:
        wanted = len(os.sched_getaffinity(0)) // max(1, nodes)
    elif is_whole_number(text) and int(text) > 0:
        wanted = int(text)
    else:
        raise InputError(f"--jobs {quoted(text)}: write how many runs at a time, or auto (cores / nodes)")
    return max(1, min(wanted, runs))


def slots(count: int, name: str, subnets: Subnets, *, apart: bool) -> list[Slot]:
    """The slots of ``count`` runs at a time. Raises InputError where a subnet cannot be divided.

    ``apart``: whether networks that are up together need different subnets, as containers do; each gets a part.
    """
    if count == 1:
        return [Slot(name, subnets)]
    names = [f"{name}-{number}" for number in range(1, count + 1)]
    if not apart:
        return [Slot(each, subnets) for each in names]
    whole, bits = Addressing.parse(*subnets), (count - 1).bit_length()
    try:
        parts = [list(net.subnets(prefixlen_diff=bits)) for net in (whole.ipv4_net, whole.ipv6_net)]
    except ValueError:
        raise InputError(f"--subnet {whole.ipv4_net} cannot be divided among {count} runs: give a larger one") from None
    return [Slot(each, (str(four), str(six))) for each, four, six in zip(names, *parts, strict=False)]


def check_files(experiment: Experiment, nodes: Mapping[str, int]) -> None:
    """Raise InputError where several runs would write their measure to the same file; ``nodes``: by a run's slug."""
    if experiment.measure is None or not experiment.measure.path:
        return
    runs = [run for run in experiment.runs() if run.slug in nodes]
    paths = Counter(experiment.measure.at(run.values(nodes[run.slug], f"RUNS/{run.slug}")).path for run in runs)
    path, times = max(paths.items(), key=lambda one: one[1], default=("", 0))
    if times > 1:
        raise InputError(
            f"measure: {times} runs would add to {path}, some at the same time: write {{run_dir}} into its path "
            "and have the command write there, or leave out --jobs"
        )
