"""``harness heal``: sets all links up again."""

from __future__ import annotations

import typer

from harness.cli import networks, options
from harness.cli.link import change_links
from harness.model.plan_edit import set_down


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("heal", epilog=options.examples("harness heal", "harness heal --name phones"))(heal)


def heal(
    name: options.NameOption = options.DEFAULT_NAME,
    dry_run: options.DryRunOption = False,
    json_: options.JsonOption = False,
) -> None:
    """Set all links up again, with the shapes that they had."""
    network = networks.find_network(name)
    change_links(network, lambda plan: set_down(plan, list(plan.edges), False), dry_run=dry_run, json_=json_)
