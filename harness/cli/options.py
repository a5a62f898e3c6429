"""Options that several verbs share."""

from __future__ import annotations

from typing import Annotated

import typer

NameOption = Annotated[
    str, typer.Option("--name", envvar="HARNESS_NAME", help="Name of the network; several can be up at once.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Print what would be done, and change nothing.")]
NodesOption = Annotated[
    int | None, typer.Option("--nodes", "-n", min=1, help="Number of nodes; 4, or what a topology file says.")
]
TopologyOption = Annotated[
    str,
    typer.Option(
        "--topology",
        "-t",
        help="fully_connected, ring, star, line, tree[:ARITY], grid[:RxC], islands[:K], a YAML file, or "
        "matrix:delay=D.csv,rate=R.csv.",
    ),
]
ProfileOption = Annotated[
    str, typer.Option("--profile", "-p", help="A name from 'harness profiles', a YAML file, or none (unshaped).")
]
BetweenOption = Annotated[
    str | None,
    typer.Option("--between", help="Profile of the slow edges between islands; wan unless given."),
]
SeedOption = Annotated[int, typer.Option("--seed", help="Of every draw from the profile's ranges.")]
SubnetOption = Annotated[
    str | None, typer.Option("--subnet", help="IPv4 subnet of the nodes.", show_default="10.77.0.0/16")
]
Subnet6Option = Annotated[
    str | None, typer.Option("--subnet6", help="IPv6 subnet of the nodes.", show_default="fd77::/64")
]
RuntimeNameOption = Annotated[
    str,
    typer.Option(
        "--runtime",
        envvar="HARNESS_RUNTIME",
        help="Where nodes live: netns (network namespaces) or docker (containers).",
    ),
]
ImageOption = Annotated[
    str | None, typer.Option("--image", help="Of containers: harness-node, or one made from it.", show_default=False)
]
VolumesOption = Annotated[
    list[str] | None,
    typer.Option(
        "--volume", "-v", help="A folder for containers: /HOST:/INSIDE or /HOST:/INSIDE:ro. Programs start in /work."
    ),
]
EngineOption = Annotated[
    str,
    typer.Option(
        "--engine",
        envvar="HARNESS_ENGINE",
        help="What enforces the links: netem (the kernel), userspace (NFQUEUE, for kernels without netem), or auto.",
    ),
]
CongestionControlOption = Annotated[
    str, typer.Option("--congestion-control", help="TCP's congestion control in the nodes: it decides results.")
]
DEFAULT_NAME = "default"
