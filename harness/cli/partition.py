"""``harness partition``: cuts a network into parts."""

from __future__ import annotations

from typing import Annotated

import typer

from harness.cli import networks, options
from harness.cli.link import change_links
from harness.model.plan import NetworkPlan
from harness.model.plan_edit import crossing, set_down


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("partition", epilog=options.examples('harness partition "0,1|2,3"', 'harness partition "0"'))(partition)


def partition(
    groups: Annotated[str, typer.Argument(help="Ranks by group, e.g. '0,1|2,3'; all other ranks form one more group.")],
    name: options.NameOption = options.DEFAULT_NAME,
    dry_run: options.DryRunOption = False,
    json_: options.JsonOption = False,
) -> None:
    """Cut the links between groups of nodes: they drop every packet until heal.

    Links inside a group stay as they are.
    """
    network = networks.find_network(name)

    def change(plan: NetworkPlan) -> NetworkPlan:
        return set_down(plan, crossing(groups, plan), True)

    change_links(network, change, dry_run=dry_run, json_=json_)
