"""Uplinks, downlinks and trunks in a run's record: read, held against their limits, named as what bounds a run."""

from dataclasses import replace

import pytest

from harness.experiment.report.analysis.caps import cap_stretches, cap_uses, planned, title
from harness.experiment.report.analysis.explain import explain
from harness.experiment.report.analysis.figures import run_figures
from harness.experiment.report.load.changes import load_changes
from harness.experiment.report.load.jsonl import Oddities
from harness.experiment.report.load.links import load_links
from harness.experiment.report.load.network_records import EdgeCount, LinkSample, RecordedChange
from harness.experiment.report.load.rank_records import Rank, RecordedStep
from harness.experiment.report.load.records import RecordedRun, RunEnd
from harness.experiment.report.page.run_data import use_table
from harness.experiment.summary import summary
from harness.experiment.trace.network import link_events
from harness.model.capacity import Capacity, NodeShape
from harness.model.units import Rate
from tests.support.plans import network
from tests.support.runs import write_lines

CAP = Capacity(Rate(1_000_000), overhead=24)
PLAN = replace(
    network("ring", 2).with_nodes({0: NodeShape(uplink=CAP)}),
    regions={"eu": (0,), "us": (1,)},
    trunk_capacities={("eu", "us"): Capacity(Rate(4_000_000))},
)
STEPS = tuple(RecordedStep(n, 100.0 + n, float(n), 1.0, 1.0, 0.1, 0.9, 0, 0) for n in range(1, 11))
FRAME = 1226
"""Bytes, so that 100 frames a second with their overhead are 1 Mbit/s."""


def sample(seconds, frames, dropped=0, attempt=1):
    counts = EdgeCount(frames, frames * FRAME, dropped, 0, 0)
    edges = {(0, 1): counts, (1, 0): EdgeCount(0, 0, 0, 0, 0)}
    return LinkSample(100.0 + seconds, edges, {}, attempt, {"uplink 0": counts, "trunk eu->us": counts})


FULL = [sample(second, 97 * second, dropped=second) for second in range(11)]


def run(links=FULL, changes=(), plan=PLAN):
    ranks = (Rank(0, STEPS, bytes_per_step=100_000), Rank(1, STEPS, bytes_per_step=100_000))
    made = RecordedRun("s", "wan", "ring", 2, 0, "ddp", "ddp", None, "netem", {}, plan, ranks, tuple(links))
    return replace(made, changes=changes, end=RunEnd("finished", 10.0))


def test_a_capacity_is_held_against_its_limit_with_the_overhead_that_it_counts():
    trunk, uplink = cap_uses(run())
    assert uplink.rate == 1e6
    assert (uplink.share, uplink.bit_s, uplink.dropped) == (pytest.approx(0.97), pytest.approx(0.97e6), 10)
    assert (trunk.name, trunk.rate) == ("trunk eu->us", 4e6)
    assert (trunk.bit_s, trunk.share) == (pytest.approx(97 * FRAME * 8), pytest.approx(97 * FRAME * 8 / 4e6))


def test_a_limit_that_is_changed_counts_from_then_on():
    change = RecordedChange(104.9, 105.0, (), caps={"uplink 0": replace(CAP, rate=Rate(2_000_000))})
    (_, uplink) = cap_uses(run(changes=(change,)))
    assert uplink.share == pytest.approx((0.97 + 0.485) / 2)
    freed = cap_uses(run(changes=(replace(change, caps={"uplink 0": None}),)))[1]
    assert (freed.rate, freed.share) == (1e6, pytest.approx(0.97))
    assert cap_uses(run(plan=network("ring", 2)))[1].share is None


def test_stretches_and_the_table_of_the_chart():
    stretches = [one for one in cap_stretches(run(), 5) if one.of == "uplink 0"]
    assert [(one.start, one.end) for one in stretches] == [(0, 2), (2, 4), (4, 6), (6, 8), (8, 10)]
    assert all(one.share == pytest.approx(0.97) for one in stretches)
    assert {row[0] for row in use_table(run_figures(run())).rows} == {"uplink 0", "trunk eu→us"}


def test_the_explanation_names_the_limit_that_was_busy():
    why = explain(run())
    assert why.cause == "rate"
    assert why.sentence.startswith(
        "Bound by the rate: the uplink of node 0 (1 Mbit/s) was busy 97 %, and the training's"
    )


def test_the_summary_has_the_fullest():
    assert ("fullest", "the uplink of node 0, 97 % of its 1 Mbit/s") in summary(run())


def test_the_summary_names_no_rate_of_a_limit_that_came_later():
    change = RecordedChange(99.9, 100.0, (), caps={"uplink 0": CAP})
    lines = dict(summary(run(changes=(change,), plan=network("ring", 2))))
    assert lines["fullest"] == "the uplink of node 0, 97 % of its limit"


def test_names():
    assert [title(name) for name in ("downlink 3", "trunk eu->us")] == ["the downlink of node 3", "trunk eu->us"]
    assert planned(PLAN, "uplink 0") == CAP
    assert planned(PLAN, "trunk eu->us").rate.bit_s == 4_000_000
    for unknown in ("downlink 0", "uplink 1", "trunk us->eu", "uplink x", ""):
        assert planned(PLAN, unknown) is None


def test_a_trace_has_their_rate():
    rates = [one for one in link_events(FULL) if one.track.name == "uplink 0 rate"]
    assert rates[0].value == pytest.approx(97 * FRAME * 8 / 1e6)


def written(folder, name, *lines):
    write_lines(folder / name, lines)
    return folder / name


def test_counters_that_did_not_change_are_filled_in_and_old_records_have_none(tmp_path):
    oddities = Oddities(tmp_path)
    counts = {"sent_packets": 1, "sent_bytes": 2, "dropped": 3, "backlog_bytes": 4, "backlog_packets": 5}
    first = {"time": 1.0, "attempt": 1, "caps": [{"name": "uplink 0", **counts}, {"name": "trunk eu->us", **counts}]}
    second = {"time": 1.1, "attempt": 1, "caps": [{"name": "uplink 0", **counts, "sent_packets": 7}]}
    third = {"time": 2.0, "attempt": 2, "edges": []}
    found = load_links(written(tmp_path, "links.jsonl", first, second, third), oddities)
    assert [one.caps.get("uplink 0", (0,))[0] for one in found] == [1, 7, 0]
    assert found[1].caps["trunk eu->us"] == EdgeCount(1, 2, 3, 4, 5)
    assert not oddities.notes
    load_links(written(tmp_path, "links.jsonl", {"time": 1.0, "caps": [7]}), oddities)
    assert [note.what for note in oddities.notes] == ["caps is not a list of objects; line ignored"]


def test_each_nodes_own_capacities_are_joined(tmp_path):
    counts = {"sent_packets": 1, "sent_bytes": 2, "dropped": 3, "backlog_bytes": 4, "backlog_packets": 5}
    for rank in range(2):
        lines = [{"time": 1.0, "attempt": 1, "caps": [{"name": f"uplink {rank}", **counts}]}]
        written(tmp_path, f"links-{rank}.jsonl", *lines)
    (joined,) = load_links(tmp_path / "links.jsonl", Oddities(tmp_path))
    assert sorted(joined.caps) == ["uplink 0", "uplink 1"]


def test_changes_say_what_limits_are_then(tmp_path):
    after, none = {"uplink": CAP.to_json(), "downlink": None}, {"uplink": None, "downlink": None}
    change = {
        "asked": 1.0,
        "acknowledged": 2.0,
        "nodes": [{"rank": 2, "before": none, "after": after}],
        "trunks": [{"from": "eu", "to": "us", "before": CAP.to_json(), "after": None}],
    }
    broken = {"asked": 3.0, "acknowledged": 4.0, "nodes": [{"rank": 1, "before": none, "after": {"uplink": {"x": 1}}}]}
    found = load_changes(written(tmp_path, "changes.jsonl", change, broken), Oddities(tmp_path))
    assert [one.caps for one in found] == [{"uplink 2": CAP, "trunk eu->us": None}, {}]
