"""Shapes and plans in a line, for tests."""

from __future__ import annotations

from harness.model.address import Addressing
from harness.model.gilbert_elliott import GilbertElliott
from harness.model.link import LINK_FIELDS, LinkShape
from harness.model.make_plan import make_plan
from harness.model.plan import NetworkPlan
from harness.model.profile import Profile
from harness.model.topology_names import build_topology
from harness.model.units import WHOLE, Ratio

BLACKHOLE = LinkShape(loss=WHOLE)
"""Loses every packet."""


def shape(**texts) -> LinkShape:
    """A link shape from texts: shape(delay="20ms", loss="1%")."""
    return LinkShape(**{key: LINK_FIELDS[key].read(one) if isinstance(one, str) else one for key, one in texts.items()})


def chain(p: str, r: str, **more: str) -> GilbertElliott:
    """A Gilbert-Elliott chain from percentages."""
    return GilbertElliott(Ratio.parse(p), Ratio.parse(r), **{key: Ratio.parse(value) for key, value in more.items()})


def network(
    topology: str,
    nodes: int,
    every: LinkShape | None = None,
    /,
    addressing: Addressing | None = None,
    **edges: LinkShape,
) -> NetworkPlan:
    """A plan whose edges all have one shape, but for e.g. ``e01=...`` (both directions of edge 0-1)."""
    from dataclasses import replace

    plan = make_plan(build_topology(topology, nodes), Profile("none"), 0, addressing=addressing)
    every = every or LinkShape()
    changed = [replace(edge, shape=every) for edge in plan.edges.values()]
    plan = plan.changed(changed)
    for name, own in edges.items():
        a, b = int(name[1]), int(name[2])
        plan = plan.changed([replace(plan.edge(*pair), shape=own) for pair in ((a, b), (b, a))])
    return plan


SHAPES = {
    "unshaped": LinkShape(),
    "delay": shape(delay="20ms"),
    "jitter": shape(delay="20ms", jitter="5ms", rate="100mbit"),
    "normal": shape(delay="20ms", jitter="5ms", distribution="normal"),
    "pareto": shape(delay="20ms", jitter="5ms", distribution="pareto"),
    "loss": shape(loss="1%"),
    "bursty": shape(loss="5%", loss_correlation="25%"),
    "chain": LinkShape(gilbert_elliott=chain("1%", "20%", loss_bad="70%", loss_good="0.1%")),
    "corrupt": shape(delay="1ms", corrupt="0.5%", reorder="2%"),
    "rate": shape(rate="10mbit"),
    "fast": shape(rate="80gbit", delay="100us"),
    "bucket": shape(rate="10mbit", delay="5ms", burst="32KiB"),
    "buffered": shape(rate="10mbit", delay="5ms", buffer="64KiB"),
    "counted": shape(rate="10mbit", overhead="-14"),
    "codel": shape(rate="10mbit", delay="10ms", queue="codel,target=7ms,ecn=no", overhead="24"),
    "fq_codel": shape(rate="10mbit", queue="fq_codel", buffer="125000B"),
    "red": shape(rate="10mbit", queue="red"),
    "pie": shape(rate="1gbit", queue="pie,interval=30ms"),
    "limited": shape(rate="1mbit", delay="250s", limit=77),
    "everything": shape(
        rate="20mbit", delay="30ms", jitter="3ms", distribution="normal", loss="0.1%", corrupt="0.01%", reorder="1%"
    ),
}
"""One of every kind that a kernel must make, by name."""
