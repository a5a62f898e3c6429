"""What a plan needs of the kernel, and what is said where it has not got it."""

from dataclasses import replace

import pytest

from harness.errors import UnavailableError
from harness.model.capacity import Capacity, NodeShape
from harness.model.queueing import Queue
from harness.model.units import Rate, Size
from harness.shaping.check_needs import check_needs
from harness.shaping.detect import ALL_FEATURES, Feature
from harness.shaping.facts import ENGINES, NETEM, USERSPACE
from harness.shaping.needs import needs_of
from tests.support.plans import network, shape

CAPACITY = Capacity(Rate(20_000_000))
CODEL = replace(CAPACITY, queue=Queue.of("codel"))
PLAN = network("star", 4, shape(delay="10ms", rate="100mbit"))


def trunked(plan, capacity=CAPACITY):
    return replace(plan, regions={"eu": (0, 1), "us": (2, 3)}, trunk_capacities={("eu", "us"): capacity})


def edged(**values):
    plan = network("star", 4)
    return plan.changed([replace(plan.edge(0, 2), shape=replace(shape(rate="10mbit"), **values))])


@pytest.mark.parametrize(
    ("plan", "netem", "userspace"),
    [
        (PLAN, [], []),
        (PLAN.with_nodes({2: NodeShape(uplink=CAPACITY)}), [], ["sch_htb", "cls_u32"]),
        (PLAN.with_nodes({2: NodeShape(uplink=CODEL)}), ["sch_codel"], ["sch_htb", "cls_u32", "sch_codel"]),
        (PLAN.with_nodes({2: NodeShape(downlink=CODEL)}), ["ifb", "act_mirred", "sch_codel"], []),
        (trunked(PLAN, CODEL), ["ifb", "act_mirred", "act_skbedit", "sch_codel"], []),
        (edged(queue=Queue.of("red")), ["sch_tbf", "sch_red"], []),
        (edged(buffer=Size(10_000)), ["sch_tbf"], []),
    ],
)
def test_a_plan_needs_what_its_engine_makes_it_with(plan, netem, userspace):
    for engine, features in ((NETEM, netem), (USERSPACE, userspace)):
        found = [need.feature for need in needs_of(plan, engine)]
        assert found == features
        assert set(found) <= ALL_FEATURES


def test_a_node_needs_what_its_own_part_does():
    plan = trunked(PLAN.with_nodes({2: NodeShape(downlink=CAPACITY)}))
    assert not list(needs_of(plan, NETEM, 1))
    assert [need.what for need in needs_of(plan, NETEM, 2)] == ["downlink of node 2"] * 2
    ends = [rank for rank in range(4) if list(needs_of(edged(buffer=Size(10_000)), NETEM, rank))]
    assert ends == [0]


def kernel(*missing):
    """A probe of a kernel that lacks these."""

    def probe(engine, only):
        names = ["veth"] if only is None else only
        return [Feature(name, "for it", name not in missing, f"no {name}", f"get {name}", ENGINES) for name in names]

    return probe


@pytest.mark.parametrize(
    ("plan", "engine", "missing", "told"),
    [
        (
            PLAN.with_nodes({2: NodeShape(downlink=CAPACITY)}),
            NETEM,
            ["ifb"],
            "downlink of node 2: this kernel lacks ifb (no ifb); fix: get ifb; or use --engine userspace",
        ),
        (
            PLAN.with_nodes({2: NodeShape(downlink=CAPACITY, uplink=CODEL)}),
            NETEM,
            ["sch_codel"],
            "queue of the uplink of node 2: this kernel lacks sch_codel (no sch_codel); fix: get sch_codel",
        ),
        (
            PLAN.with_nodes({2: NodeShape(uplink=CAPACITY)}),
            USERSPACE,
            ["sch_htb"],
            "uplink of node 2: this kernel lacks sch_htb (no sch_htb); fix: get sch_htb; or use --engine netem",
        ),
        (
            trunked(PLAN),
            NETEM,
            ["act_skbedit", "veth"],
            "trunk eu->us: this kernel lacks act_skbedit (no act_skbedit); fix: get act_skbedit",
        ),
    ],
)
def test_what_lacks_something_is_named_with_the_fix_and_the_engine_that_helps(plan, engine, missing, told):
    with pytest.raises(UnavailableError) as error:
        check_needs(plan, engine, probe=kernel(*missing))
    assert str(error.value) == told
    check_needs(plan, engine, probe=kernel())
    check_needs(plan, engine, known=missing, probe=kernel(*missing))


def test_beside_links_no_engine_is_probed_that_might_help():
    def probe(engine, only):
        assert only is not None, "all that an engine needs is probed"
        return kernel("sch_htb")(engine, only)

    with pytest.raises(UnavailableError, match=r"uplink of node 2: this kernel lacks sch_htb .* get sch_htb$"):
        check_needs(PLAN.with_nodes({2: NodeShape(uplink=CAPACITY)}), USERSPACE, 2, probe=probe, instead=False)


def test_nothing_is_probed_for_a_plan_that_needs_nothing():
    check_needs(PLAN, NETEM, probe=lambda *_: pytest.fail("probed"))
