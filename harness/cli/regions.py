"""``harness regions``: lists real regions, and the measured delays between them."""

from __future__ import annotations

from typing import Annotated

import typer

from harness.cli import options
from harness.cli.output import print_json, say, show, table

EPILOG = options.examples(
    "harness regions",
    "harness regions ./mine.yaml --json",
    then="To put ranks there: harness up -t regions:aws --place us-east-1,eu-west-1",
)


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("regions", epilog=EPILOG)(regions)


def regions(
    name: Annotated[str, typer.Argument(help="Name of a table, or a YAML file.", metavar="[TABLE]")] = "aws",
    json_: options.JsonOption = False,
) -> None:
    """List real regions and the measured one-way delays between them, for -t regions:TABLE and --place.

    Between two regions, an edge has the delay and, if it is published, the rate of the table. All else is drawn from
    profiles: --between for edges between regions, --profile inside a region.
    """
    from harness.model.format import format_rate, format_time
    from harness.model.region_table import load_regions, shipped_tables

    found = load_regions(name)
    if json_:
        print_json(
            {
                "name": found.name,
                "description": found.description,
                "regions": dict(found.regions),
                "delays": [
                    {"from": src, "to": dst, "delay_s": delay.seconds} for (src, dst), delay in found.delays.items()
                ],
                "rates": [
                    {"from": src, "to": dst, "rate_bit_s": rate.bit_s} for (src, dst), rate in found.rates.items()
                ],
            }
        )
        return
    made = table(
        f"Regions of {found.name!r}", "region", "place~", "nearest", "delay>", "rate>", "farthest", "its delay>"
    )
    for region, place in found.regions.items():
        ways = {dst: delay for (src, dst), delay in found.delays.items() if src == region}
        row = [region, place]
        if ways:
            near, far = min(ways, key=lambda dst: ways[dst].ns), max(ways, key=lambda dst: ways[dst].ns)
            rate = found.rates.get((region, near))
            row += [near, format_time(ways[near]), format_rate(rate), far, format_time(ways[far])]
        made.add_row(*row, *[""] * (7 - len(row)))
    made.caption = f"{found.description}. Delays are one way; all of them: --json, or 'harness plan -t regions:{name}'."
    show(made)
    if others := [other for other in shipped_tables() if other != found.name]:
        say(f"other tables: {', '.join(others)}")
