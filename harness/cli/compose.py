"""``harness compose``: prints the Compose file that starts nodes as containers."""

from __future__ import annotations

from typing import Annotated

import typer

from harness.cli import options
from harness.installed import CHECKOUT, shipped

EPILOG = options.examples(
    "harness compose > compose.yaml", "harness compose --env > .env", then="Then: NODES=4 PROFILE=wan docker compose up"
)


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("compose", epilog=EPILOG)(compose)


def compose(
    env: Annotated[
        bool, typer.Option("--env", help="Print its variables with their defaults instead, for .env.")
    ] = False,
) -> None:
    """Print the file for docker compose up: a shaped network of containers, which variables describe."""
    text = shipped(".env.example" if env else "compose.yaml").read_text()
    if CHECKOUT is None:  # only a checkout has ./examples
        text = text.replace("${WORK:-./examples}", "${WORK:-.}").replace("WORK=./examples", "WORK=.")
    typer.echo(text, nl=False)
