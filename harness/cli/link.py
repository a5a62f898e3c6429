"""``harness link``: shows links, changes them in place, sets them down and up."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Final

import typer

from harness.cli import completion, networks, options
from harness.cli.output import note, print_json, say, show, table
from harness.cli.reshaped import note_consequences
from harness.model.format import format_distinct, format_shape, format_size, format_time
from harness.model.link import LINK_FIELDS, Pair
from harness.model.narrow_caps import narrow_caps
from harness.model.plan import NetworkPlan
from harness.model.plan_edit import parse_pairs, set_down, shape_change
from harness.model.ranks import named_ranks
from harness.model.small_buckets import small_buckets
from harness.model.status import Stats
from harness.model.table import Styled
from harness.networks.probe_counts import difference

if TYPE_CHECKING:
    from harness.networks.network import Network

app = typer.Typer(no_args_is_help=True, help="Show and change links: show, set, down, up.")


def register(parent: typer.Typer) -> None:
    """Add the verb and its own."""
    parent.add_typer(app, name="link")


OneWay = Annotated[bool, typer.Option("--one-way", help="Only from A to B.")]


@app.command("show", epilog=options.examples("harness link show", "harness link show 0-1 --json"))
def show_links(
    edges: options.AllEdgesArgument = "all",
    name: options.NameOption = options.DEFAULT_NAME,
    json_: options.JsonOption = False,
) -> None:
    """Show each edge: what is requested, applied and counted.

    Packets of verify are counted in a column of their own. In JSON, "stats" counts all packets, "verify" those.
    """
    network = networks.find_network(name, named_ranks(edges))
    pairs = parse_pairs(edges, network.plan)
    enforced_at = network.backend.engine.enforced_at
    nodes = network.observe(sorted({enforced_at(pair) for pair in pairs}))
    wrong: dict[Pair, str] = {}
    for text in dict.fromkeys(text for node in nodes.values() for text in node.notes):
        note(text)
    for node in nodes.values():
        for pair, what in node.mismatches:
            wrong[pair] = f"{wrong[pair]}; {what}" if pair in wrong else what
    probed = network.probed()
    rows = [(network.plan.edges[pair], nodes[enforced_at(pair)].edges[pair]) for pair in pairs]
    if json_:
        print_json(
            [
                {
                    "src": edge.src,
                    "dst": edge.dst,
                    "down": edge.down,
                    "requested": edge.shape.to_json(),
                    **status.to_json(),
                    "verify": vars(probed.get(edge.pair, Stats())),
                    "mismatch": wrong.get(edge.pair),
                }
                for edge, status in rows
            ]
        )
        return
    columns = ("edge", "requested,", "applied,", "sent>", "dropped>", *(("by verify>",) if probed else ()), "backlog>")
    made = table(f"Links of {network.name!r}", *columns)
    for edge, status in rows:
        by_verify = probed.get(edge.pair, Stats())
        stats = difference({edge.pair: by_verify}, {edge.pair: status.stats})[edge.pair]
        requested = ("down; " if edge.down else "") + format_shape(edge.shape)
        passes = edge.effective.is_unshaped and edge.pair not in wrong  # its queue is there for a shared capacity
        applied = format_shape(edge.effective if passes else status.applied)
        if edge.pair in wrong:
            applied = Styled(f"{applied} (differs)", "red")
        sent = f"{stats.sent_packets} pkt {format_size(stats.sent_bytes)}"
        tried = (f"{by_verify.sent_packets} pkt, {by_verify.dropped} dropped",) if probed else ()
        backlog = format_size(status.stats.backlog_bytes)
        made.add_row(str(edge), requested, applied, sent, str(stats.dropped), *tried, backlog)
    show(made)
    for pair, what in wrong.items():
        note(f"edge {pair[0]}->{pair[1]}: applied differs from requested: {what}")


_FIELDS: Final = {
    key: (Annotated[str | None, typer.Option(help=one.help, metavar=one.metavar or "TEXT")], None)
    for key, one in LINK_FIELDS.items()
}


@app.command(
    "set",
    epilog=options.examples(
        "harness link set 0-1 --delay 120ms",
        "harness link set all --profile mobile",
        "harness link set 0-1 --one-way --rate 10mbit --loss 1%",
        "harness link set 0-1 --clear",
    ),
)
@options.in_place_of("texts", _FIELDS, options.given)
def set_links(
    edges: options.EdgesArgument,
    texts: Mapping[str, str],
    profile: Annotated[
        str | None,
        typer.Option("--profile", "-p", help="Draw a new shape from a profile.", autocompletion=completion.profiles),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option("--seed", help="Seed for the values drawn from --profile; default: the network's seed."),
    ] = None,
    clear: Annotated[bool, typer.Option("--clear", help="Remove all settings of the link first.")] = False,
    one_way: OneWay = False,
    name: options.NameOption = options.DEFAULT_NAME,
    dry_run: options.DryRunOption = False,
    json_: options.JsonOption = False,
) -> None:
    """Change links in place, while jobs run: no queued packet is lost. Settings that are not given stay."""
    change = shape_change(edges, texts, one_way=one_way, profile=profile, seed=seed, clear=clear)
    network = networks.find_network(name, () if dry_run else named_ranks(edges))
    change_links(network, change, dry_run=dry_run, json_=json_)


@app.command("down", epilog=options.examples("harness link down 0-1", "harness link down 0-1 --one-way"))
def down(
    edges: options.EdgesArgument,
    one_way: OneWay = False,
    name: options.NameOption = options.DEFAULT_NAME,
    dry_run: options.DryRunOption = False,
    json_: options.JsonOption = False,
) -> None:
    """Drop every packet on links until they are up again. Routes stay: packets take no other path."""
    _set_down(edges, True, one_way, name, dry_run, json_)


@app.command("up", epilog=options.examples("harness link up 0-1", "harness link up all"))
def up(
    edges: options.EdgesArgument,
    one_way: OneWay = False,
    name: options.NameOption = options.DEFAULT_NAME,
    dry_run: options.DryRunOption = False,
    json_: options.JsonOption = False,
) -> None:
    """Set links up again, with the shapes that they had."""
    _set_down(edges, False, one_way, name, dry_run, json_)


def _set_down(edges: str, is_down: bool, one_way: bool, name: str, dry_run: bool, json_: bool) -> None:
    def change(plan: NetworkPlan) -> NetworkPlan:
        return set_down(plan, parse_pairs(edges, plan, one_way=one_way), is_down)

    network = networks.find_network(name, () if dry_run else named_ranks(edges))
    change_links(network, change, dry_run=dry_run, json_=json_)


def change_links(network: Network, change: Callable[[NetworkPlan], NetworkPlan], *, dry_run: bool, json_: bool) -> None:
    """Change links, or only compute what would change; then print old and new shapes."""
    old = network.plan
    if dry_run:
        new, done = change(old), None
        changed = sorted(pair for pair, edge in new.edges.items() if edge != old.edges[pair])
    else:
        done = network.reshape(change)
        new, changed = done.plan, list(done.changed)
    warnings = network.backend.engine.precision_warnings(new.edges[pair] for pair in changed)
    for text in (*warnings, *small_buckets(new, changed)):
        note(text)
    seconds = done.seconds if done else None
    if json_:
        print_json({"seconds": seconds, "changed": [new.edges[pair].to_json() for pair in changed]})
    else:
        made = table("Would change" if dry_run else "Changed", "edge", "before,", "after,")
        for pair in changed:
            edges = (old.edges[pair], new.edges[pair])
            texts = format_distinct(format_shape, [edge.shape for edge in edges])
            before, after = (("down; " if edge.down else "") + text for edge, text in zip(edges, texts, strict=True))
            made.add_row(str(new.edges[pair]), before, after)
        show(made) if changed else say("nothing to change: the links already have these values")
        if seconds is not None and changed:
            say(f"applied and read back in {format_time(seconds)}")
    for text in narrow_caps(new, [p for p in changed if new.edges[p].shape.rate != old.edges[p].shape.rate]):
        note(text)
    if done:
        note_consequences(network, done)
