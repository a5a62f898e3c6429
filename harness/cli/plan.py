"""``harness plan``: prints the plan of a network, without touching the machine."""

from __future__ import annotations

from typing import Any, Final

import typer

from harness.cli import options
from harness.cli.one_tcp import ONE_TCP
from harness.cli.output import note, print_json, say, show, table
from harness.model.format import count, format_capacity, format_rate, format_shape, format_share
from harness.model.narrow_caps import narrow_caps
from harness.model.plan import NetworkPlan
from harness.model.plan_options import PLAN_OPTIONS, NetworkOptions
from harness.model.small_buckets import small_buckets
from harness.model.tcp import tcp_ceilings

EPILOG = options.examples(
    "harness plan --nodes 4 --topology ring --profile wan",
    "harness plan -t islands:2 -n 8 -p datacenter --between wan --seed 7 --json",
)

_NAMED: Final = 12
"""The most edges of a trunk that are listed."""


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("plan", epilog=EPILOG)(plan)


@options.network_options(*PLAN_OPTIONS)
def plan(
    chosen: NetworkOptions,
    json_: options.JsonOption = False,
) -> None:
    """Print nodes, routes and every edge's shape, and the rate of one TCP connection on edges that lose packets.

    Delays are one way: a round trip has those of both directions.
    """
    made = chosen.plan()
    if json_:
        print_json(plan_json(made))
    else:
        show_plan(made)


def show_plan(made: NetworkPlan) -> None:
    """Print the plan as tables."""
    title = f"{count(made.size, 'node')}, {made.topology}, profile {made.profile}, seed {made.seed}"
    caps = ["uplink,", "downlink,"] if any(shape.present for shape in made.nodes.values()) else []
    cpus = ["CPU>"] if any(shape.cpu for shape in made.nodes.values()) else []
    home = {rank: region for region, ranks in made.regions.items() for rank in ranks}
    places = ["region"] if home else []
    ranks = table(title, "rank>", *places, "address", *caps, *cpus, "neighbours,", "through neighbours,")
    for rank in range(made.size):
        hops = [f"{dst} via {hop}" for dst, hop in sorted(made.next_hops[rank].items()) if dst != hop]
        near = ", ".join(map(str, made.neighbours(rank)))
        shape = made.node_shape(rank)
        limits = [format_capacity(one) for one in (shape.uplink, shape.downlink)] if caps else []
        ranks.add_row(
            str(rank),
            *([home.get(rank, "")] if home else []),
            " ".join(str(made.addressing.address(rank, version)) for version in made.addressing.versions),
            *limits,
            *([format_share(shape.cpu)] if cpus else []),
            near,
            ", ".join(hops),
        )
    show(ranks)
    if made.trunks:
        say("")
        _show_trunks(made)
    say("")
    edges = table("Directed edges", "edge", "from", "shape,", "one TCP")
    ceilings = tcp_ceilings(made)
    for pair in sorted(made.edges):
        edge = made.edges[pair]
        told = format_shape(edge.shape) + (" (down)" if edge.down else "")
        edges.add_row(str(edge), edge.origin, told, format_rate(ceilings[pair].bit_s))
    if any(one.limit == "loss" for one in ceilings.values()):
        edges.caption = ONE_TCP
    show(edges)
    for line in (*narrow_caps(made), *small_buckets(made)):
        note(line)


def _show_trunks(made: NetworkPlan) -> None:
    trunks = table("Trunks", "trunk", "capacity,", "directed edges that share it,")
    for trunk in made.trunks:
        pairs = [f"{src}->{dst}" for src, dst in trunk.edges[:_NAMED]]
        pairs += [f"and {len(trunk.edges) - _NAMED} more"] if len(trunk.edges) > _NAMED else []
        trunks.add_row(trunk.name, format_capacity(trunk.capacity), ", ".join(pairs))
    show(trunks)


def plan_json(made: NetworkPlan) -> dict[str, Any]:
    """The plan as plain JSON, with the rate of one TCP connection on each edge."""
    tcp = [{"src": src, "dst": dst, **vars(one)} for (src, dst), one in sorted(tcp_ceilings(made).items())]
    return {**made.to_json(), "tcp": tcp}
