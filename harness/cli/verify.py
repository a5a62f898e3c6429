"""``harness verify``: real traffic over every edge, against what was asked for."""

import typer


def register(app: typer.Typer) -> None:
    """Add the verb."""
