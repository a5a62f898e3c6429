"""``harness link``: show links, reshape them in place, set them down and up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import Annotated, Any

import typer

from harness.cli import networks, options
from harness.cli.output import note, print_json, say, show, table
from harness.errors import InputError, ShapeError
from harness.link import UNSHAPED, Distribution, LinkShape
from harness.plan import NetworkPlan, PlannedEdge
from harness.session import Network
from harness.units import Rate, Ratio, Size, Time

app = typer.Typer(no_args_is_help=True, help="Show and change links: show, set, down, up.", rich_markup_mode="rich")


def register(parent: typer.Typer) -> None:
    """Add the verb and its own."""
    parent.add_typer(app, name="link")


Edges = Annotated[str, typer.Argument(help="A-B, several as A-B,C-D, or all.", metavar="A-B|all")]
OneWay = Annotated[bool, typer.Option("--one-way", help="Only from A to B.")]


@app.command("show", epilog="Examples: [b]harness link show[/b] | [b]harness link show 0-1 --json[/b]")
def show_links(
    edges: Annotated[str, typer.Argument(help="A-B, several as A-B,C-D, or all.", metavar="[A-B|all]")] = "all",
    name: options.Name = options.DEFAULT_NAME,
    json_: options.Json = False,
) -> None:
    """What was requested, what the kernel holds, and what it has counted, per direction."""
    network = networks.find_network(name)
    pairs = networks.parse_pairs(edges, network.plan)
    nodes = network.observe(sorted({src for src, _ in pairs}))
    wrong = {(src, dst): what for src, node in nodes.items() for dst, what in node.mismatches}
    rows = [(network.plan.edges[pair], nodes[pair[0]].edges[pair[1]]) for pair in pairs]
    if json_:
        print_json(
            [
                {
                    "src": edge.src,
                    "dst": edge.dst,
                    "down": edge.down,
                    "requested": edge.shape.to_json(),
                    **reading.to_json(),
                    "mismatch": wrong.get(edge.pair),
                }
                for edge, reading in rows
            ]
        )
        return
    made = table(f"Links of {network.name!r}", "edge", "requested", "applied", "sent>", "dropped>", "backlog>")
    for edge, reading in rows:
        stats = reading.stats
        requested = ("down; " if edge.down else "") + edge.shape.describe()
        applied = reading.applied.describe() + (" [red](differs)[/red]" if edge.pair in wrong else "")
        sent = f"{stats.sent_packets} pkt {_scaled(stats.sent_bytes)}B"
        made.add_row(str(edge), requested, applied, sent, str(stats.dropped), f"{_scaled(stats.backlog_bytes)}B")
    show(made)
    for pair, what in wrong.items():
        note(f"edge {pair[0]}->{pair[1]}: the kernel does not hold what was requested: {what}")


def _scaled(count: int) -> str:
    for prefix, factor in (("G", 10**9), ("M", 10**6), ("k", 10**3)):
        if count >= factor:
            return f"{count / factor:.1f} {prefix}"
    return f"{count} "


@app.command(
    "set",
    epilog="Examples: [b]harness link set 0-1 --delay 120ms[/b] | [b]harness link set all --profile mobile[/b] | "
    "[b]harness link set 0-1 --one-way --rate 10mbit --loss 1%[/b] | [b]harness link set 0-1 --clear[/b]",
)
def set_links(
    edges: Edges,
    delay: Annotated[str | None, typer.Option(help="One-way delay, e.g. 120ms.")] = None,
    jitter: Annotated[str | None, typer.Option(help="A time, or a share of the delay, e.g. 10%.")] = None,
    distribution: Annotated[str | None, typer.Option(help="Of the jitter: uniform, normal or pareto.")] = None,
    loss: Annotated[str | None, typer.Option(help="Share of packets lost, e.g. 1%.")] = None,
    loss_correlation: Annotated[str | None, typer.Option(help="Correlation of losses, e.g. 25%.")] = None,
    rate: Annotated[str | None, typer.Option(help="e.g. 80mbit or 10MB/s; none for no limit.")] = None,
    burst: Annotated[str | None, typer.Option(help="Depth of a token bucket, e.g. 64KiB; none for no bucket.")] = None,
    duplicate: Annotated[str | None, typer.Option(help="Share of packets sent twice.")] = None,
    corrupt: Annotated[str | None, typer.Option(help="Share of packets with a flipped bit.")] = None,
    reorder: Annotated[str | None, typer.Option(help="Share of packets that skip the delay.")] = None,
    limit: Annotated[str | None, typer.Option(help="Packets in the queue; auto: sized from rate x delay.")] = None,
    profile: Annotated[
        str | None, typer.Option("--profile", "-p", help="Draw a whole new shape from a profile.")
    ] = None,
    seed: options.Seed = 0,
    clear: Annotated[bool, typer.Option("--clear", help="Begin with an unshaped link.")] = False,
    one_way: OneWay = False,
    name: options.Name = options.DEFAULT_NAME,
    dry_run: options.DryRun = False,
    json_: options.Json = False,
) -> None:
    """Change links in place, while jobs run: nothing queued is lost. What is not given stays as it is."""
    given = {
        "delay": delay, "jitter": jitter, "distribution": distribution, "loss": loss, "rate": rate, "burst": burst,
        "loss_correlation": loss_correlation, "duplicate": duplicate, "corrupt": corrupt, "reorder": reorder,
        "limit": limit,
    }  # fmt: skip
    wanted = {key: value for key, value in given.items() if value is not None}
    if profile is not None and clear:
        raise InputError("give --profile or --clear, not both")
    if not (wanted or profile or clear):
        raise InputError("nothing to set: give --delay, --jitter, --loss, --rate, --profile, --clear or another option")
    edit = _parse(wanted)
    base: Callable[[PlannedEdge], tuple[LinkShape, str]] = lambda edge: (edge.shape, edge.origin)  # noqa: E731
    if clear:
        base = lambda _: (UNSHAPED, "set")  # noqa: E731
    if profile is not None:
        from harness.profile_file import load_profile

        loaded = load_profile(profile)
        base = lambda edge: (loaded.sample(seed, edge.src, edge.dst), loaded.name)  # noqa: E731

    def change(plan: NetworkPlan) -> NetworkPlan:
        changed = []
        for pair in networks.parse_pairs(edges, plan, one_way=one_way):
            shape, origin = base(plan.edges[pair])
            try:
                changed.append(replace(plan.edges[pair], shape=edit(shape), origin="set" if wanted else origin))
            except ShapeError as error:
                raise ShapeError(f"edge {plan.edges[pair]} ({shape.describe()}): {error}; set both") from None
        return plan.changed(changed)

    report(networks.find_network(name), change, dry_run=dry_run, json_=json_)


def _parse(wanted: dict[str, str]) -> Callable[[LinkShape], LinkShape]:
    """The change that the options ask for; every text is read before anything is touched. Raises InputError."""
    kinds: dict[str, Any] = {"delay": Time, "rate": Rate, "burst": Size} | dict.fromkeys(
        ("loss", "loss_correlation", "duplicate", "corrupt", "reorder"), Ratio
    )
    fields: dict[str, Any] = {}
    for key, text in wanted.items():
        try:
            if key in ("rate", "burst") and text == "none":
                fields[key] = None
            elif key in kinds:
                fields[key] = kinds[key].parse(text)
            elif key == "limit":
                fields[key] = _limit(text)
            elif key == "jitter":
                fields[key] = Ratio.parse(text) if "%" in text else Time.parse(text)
            else:
                fields[key] = text
        except InputError as error:
            raise InputError(f"--{key.replace('_', '-')}: {error}") from None
    if "loss" in fields:
        fields.setdefault("gilbert_elliott", None)
        if not fields["loss"]:
            fields.setdefault("loss_correlation", Ratio(Fraction(0)))
    LinkShape(distribution=_distribution(wanted.get("distribution", "uniform")))

    def edit(shape: LinkShape) -> LinkShape:
        chosen = dict(fields)
        share = chosen.get("jitter")
        if isinstance(share, Ratio):
            delay = chosen.get("delay", shape.delay)
            chosen["jitter"] = Time(round(delay.ns * share.value))
        return shape.changed(**chosen)

    return edit


def _distribution(text: str) -> Distribution:
    return text  # type: ignore[return-value]


def _limit(text: str) -> int | None:
    if text == "auto":
        return None
    if not text.isdecimal():
        raise InputError(f"{text!r} is not a number of packets, or auto")
    return int(text)


@app.command("down", epilog="Examples: [b]harness link down 0-1[/b] | [b]harness link down 0-1 --one-way[/b]")
def down(
    edges: Edges,
    one_way: OneWay = False,
    name: options.Name = options.DEFAULT_NAME,
    dry_run: options.DryRun = False,
    json_: options.Json = False,
) -> None:
    """Let links lose every packet until they are up again. Routes stay: nothing goes around."""
    _set_down(edges, True, one_way, name, dry_run, json_)


@app.command("up", epilog="Examples: [b]harness link up 0-1[/b] | [b]harness link up all[/b]")
def up(
    edges: Edges,
    one_way: OneWay = False,
    name: options.Name = options.DEFAULT_NAME,
    dry_run: options.DryRun = False,
    json_: options.Json = False,
) -> None:
    """Set links up again, with the shape that they had."""
    _set_down(edges, False, one_way, name, dry_run, json_)


def _set_down(edges: str, is_down: bool, one_way: bool, name: str, dry_run: bool, json_: bool) -> None:
    def change(plan: NetworkPlan) -> NetworkPlan:
        pairs = networks.parse_pairs(edges, plan, one_way=one_way)
        return plan.changed([replace(plan.edges[pair], down=is_down) for pair in pairs])

    report(networks.find_network(name), change, dry_run=dry_run, json_=json_)


def report(network: Network, change: Callable[[NetworkPlan], NetworkPlan], *, dry_run: bool, json_: bool) -> None:
    """Reshape, or only say what would change; then print old and new."""
    old = network.plan
    if dry_run:
        new, done = change(old), None
        changed = sorted(pair for pair, edge in new.edges.items() if edge != old.edges[pair])
    else:
        done = network.reshape(change)
        new, changed = done.plan, list(done.changed)
    seconds = done.seconds if done else None
    if json_:
        print_json({"seconds": seconds, "changed": [new.edges[pair].to_json() for pair in changed]})
    else:
        made = table("Would change" if dry_run else "Changed", "edge", "before", "after")
        for pair in changed:
            before, after = (
                ("down; " if e.down else "") + e.shape.describe() for e in (old.edges[pair], new.edges[pair])
            )
            made.add_row(str(new.edges[pair]), before, after)
        show(made) if changed else say("nothing to change: the links are so already")
        if seconds is not None and changed:
            say(f"applied and read back in {seconds * 1000:.1f} ms")
    if done and done.segments_cut:
        note(
            "TCP connections that are open already still send super-packets of up to 64 KiB;"
            " loss and limits act on those whole"
        )
