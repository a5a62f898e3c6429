"""``harness profiles``: lists the network profiles that ship, and those of files."""

from __future__ import annotations

from typing import Annotated

import typer

from harness.cli import completion, options
from harness.cli.output import print_json, show, table

EPILOG = options.examples("harness profiles", "harness profiles wan", "harness profiles ./mine.yaml --json")


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("profiles", epilog=EPILOG)(profiles)


def profiles(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Names or YAML files; default: all that ship.", autocompletion=completion.profiles),
    ] = None,
    json_: options.JsonOption = False,
) -> None:
    """List network profiles: the ranges from which edges and nodes draw their values. Delay is one way."""
    from harness.cli.one_tcp import ONE_TCP, one_tcp_range
    from harness.model.profile import NODE_KEYS
    from harness.model.profile_file import load_profile, shipped_profiles
    from harness.model.tcp import profile_ceilings

    found = [load_profile(name) for name in names or shipped_profiles()]
    if json_:
        print_json(
            [{**one.to_json(), "tcp_bit_s": [ceiling.bit_s for ceiling in profile_ceilings(one)]} for one in found]
        )
        return
    described = [profile.describe() for profile in found]
    usual = ["rate", "delay", "jitter", "loss"]
    named = {key for one in described for key in one}
    usual += [key for key in NODE_KEYS if key in named]
    rarer = sorted(named - {*usual, "description", "name"})
    made = table("Profiles", "name", *usual, *rarer, "one TCP", "description~")
    for profile, one in zip(found, described, strict=True):
        tcp = one_tcp_range(*profile_ceilings(profile))
        made.add_row(profile.name, *(one.get(key, "") for key in usual + rarer), tcp, profile.description)
    made.caption = ONE_TCP
    show(made)
