"""Options that several verbs share; those of a network as model/plan_options.py declares them."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from harness.model.plan_options import OPTIONS


def _network(name: str, **more: Any) -> Any:
    """Typer's part of a network's option."""
    one = OPTIONS[name]
    return typer.Option(*one.flags, help=one.help, envvar=one.environ or None, show_default=one.shown or True, **more)


NameOption = Annotated[
    str, typer.Option("--name", envvar="HARNESS_NAME", help="Name of the network; several can be up at once.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Print what would be done, and change nothing.")]
NodesOption = Annotated[int | None, _network("nodes", min=1)]
TopologyOption = Annotated[str, _network("topology")]
ProfileOption = Annotated[str, _network("profile")]
BetweenOption = Annotated[str | None, _network("between")]
SeedOption = Annotated[int, _network("seed")]
SubnetOption = Annotated[str | None, _network("subnet")]
Subnet6Option = Annotated[str | None, _network("subnet6")]
RuntimeNameOption = Annotated[str, _network("runtime")]
ImageOption = Annotated[str | None, _network("image")]
VolumesOption = Annotated[list[str] | None, _network("volumes")]
EngineOption = Annotated[str, _network("engine")]
CongestionControlOption = Annotated[str, _network("congestion_control")]
DEFAULT_NAME = "default"
