"""harness.cli.bench_table: names that programs rely on, and a table that fits."""

import json
import re

import pytest

from harness.cli.bench_table import bench_document, bench_table
from harness.model.bound import WIRE_SHARE, LinkBound
from harness.model.capacity import Capacity, NodeShape
from harness.model.link import LinkShape
from harness.model.node_plan import PlannedEdge
from harness.model.plan import NetworkPlan
from harness.model.units import Rate, Time
from tests.support.plans import BLACKHOLE

SHAPE = LinkShape(rate=Rate.parse("20mbit"), delay=Time.parse("40ms"))
NOTE = "gloo has none of its own: torch runs an all_reduce and each rank keeps its part"


def pair(shape=SHAPE):
    edges = {(0, 1): PlannedEdge(0, 1, shape), (1, 0): PlannedEdge(1, 0, shape)}
    return NetworkPlan("line", "wan", 7, 2, edges, {0: {1: 1}, 1: {0: 0}})


def row(collective="all_reduce", size=1048576, median=0.9, **more):
    return {
        "collective": collective,
        "bytes": size,
        "seconds_median": median,
        "seconds_min": median * 0.9,
        "seconds_max": median * 1.1,
        "repeats": 10,
        "algbw_bit_s": size * 8 / median,
        "busbw_bit_s": size * 8 / median,
        **more,
    }


def result(*rows):
    return {"rows": list(rows), "torch": "2.13.0+cpu", "world_size": 2, "start": "shared clock"}


def rendered(document, width=100):
    return "\n".join(bench_table(document).lines(width))


def test_the_document_has_the_names_that_programs_rely_on():
    plan = pair()
    document = bench_document("netem", plan, result(row(), row("barrier", 0)))
    assert document.keys() >= {"engine", "nodes", "rows", "topology", "profile", "seed", "torch"}
    assert (document["engine"], document["nodes"], document["profile"], document["seed"]) == ("netem", 2, "wan", 7)
    names = {"collective", "bytes", "seconds_median", "seconds_min", "seconds_max", "algbw_bit_s", "busbw_bit_s"}
    for got in document["rows"]:
        assert got.keys() >= names | {"bound_seconds"}
        assert got["bound_seconds"] == LinkBound(plan).seconds(got["collective"], got["bytes"])
    assert document["rows"][1]["bound_seconds"] == pytest.approx(0.04)


def test_the_bound_knows_what_links_share():
    plan = pair().with_nodes({0: NodeShape(uplink=Capacity(Rate.parse("10mbit")))})
    found = bench_document("netem", plan, result(row("broadcast")))["rows"][0]["bound_seconds"]
    assert found == pytest.approx(0.04 + 1048576 * 8 * WIRE_SHARE / 10e6)


def test_the_document_is_json_even_where_no_bound_is_finite():
    document = bench_document("netem", pair(BLACKHOLE), result(row()))
    assert document["rows"][0]["bound_seconds"] is None
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    assert rendered(document).split()[-1] == "–"


def test_a_row_of_the_table():
    text = rendered(bench_document("netem", pair(), result(row())))
    line = next(line for line in text.splitlines() if "all_reduce" in line)
    assert re.split(r"\s{2,}", line.strip()) == [
        "all_reduce",
        "1 MiB",
        "900 ms",
        "810 – 990 ms",
        "10",
        "9.32 Mbit/s",
        "9.32 Mbit/s",
        "479 ms",
        "53.2 %",
    ]


@pytest.mark.parametrize("width", [80, 100])
def test_the_table_is_readable(width):
    rows = [
        row("reduce_scatter", 1020, 0.12345, note=NOTE),
        row("all_to_all", 64 * 1024**2 - 4, 12.345),
        row("barrier", 0),
    ]
    text = rendered(bench_document("userspace", pair(), result(*rows)), width)
    assert "67.1 MB" in text
    assert max(map(len, text.splitlines())) <= width
    assert ("no room for: " in text) == (width == 80)
    assert "".join(NOTE.split()) in "".join(text.split())


def test_unshaped_links_have_no_bound_to_show():
    text = rendered(bench_document("netem", pair(LinkShape()), result(row())))
    line = next(line for line in text.splitlines() if "all_reduce" in line)
    assert line.split()[-2:] == ["–", "–"]
