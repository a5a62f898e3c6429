"""``harness partition``: cut a network into parts."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import typer

from harness.cli import networks, options
from harness.cli.link import report
from harness.errors import InputError
from harness.plan import NetworkPlan, Pair


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("partition", epilog='Examples: [b]harness partition "0,1|2,3"[/b] | [b]harness partition "0"[/b]')(
        partition
    )


def partition(
    groups: Annotated[str, typer.Argument(help="Ranks by group, e.g. '0,1|2,3'; ranks not named form one more group.")],
    name: options.Name = options.DEFAULT_NAME,
    dry_run: options.DryRun = False,
    json_: options.Json = False,
) -> None:
    """Set every link between different groups down: its packets are lost. Links inside a group stay as they are."""
    network = networks.find_network(name)

    def change(plan: NetworkPlan) -> NetworkPlan:
        return set_down(plan, crossing(groups, plan), True)

    report(network, change, dry_run=dry_run, json_=json_)


def set_down(plan: NetworkPlan, pairs: list[Pair], down: bool) -> NetworkPlan:
    """The plan with these directed edges down, or up again."""
    return plan.changed([replace(plan.edges[pair], down=down) for pair in pairs])


def crossing(groups: str, plan: NetworkPlan) -> list[Pair]:
    """The directed edges between different groups. Raises InputError, PlanError."""
    member: dict[int, int] = {}
    for number, group in enumerate(groups.split("|")):
        for word in group.split(","):
            if not word.strip().isdecimal():
                raise InputError(f"partition {groups!r}: {word.strip()!r} is no rank; write e.g. '0,1|2,3'")
            rank = int(word)
            plan.require_rank(rank)
            if rank in member:
                raise InputError(f"partition {groups!r}: rank {rank} is named twice")
            member[rank] = number
    return [(src, dst) for src, dst in plan.edges if member.get(src, -1) != member.get(dst, -1)]
