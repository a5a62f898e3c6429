"""harness.experiment.report.load: what is sampled ten times a second, collectives one by one, and own scripts."""

import json
import math
import tracemalloc
from array import array
from bisect import bisect_left

import pytest

from harness.experiment.report.analysis.figures import run_figures
from harness.experiment.report.analysis.links import edge_moments, link_use, tcp_moments
from harness.experiment.report.load import load_experiment
from harness.experiment.report.load.compact import EdgeCounts, FlowSamples
from harness.experiment.report.load.network_records import EdgeCount, FlowSample
from harness.experiment.report.load.rank_records import TimedCollective
from harness.model.plan_options import PlanOptions
from tests.support.runs import CREATED, DDP, make_run, write_lines

PLAN = PlanOptions(2, "ring", "wan", None, 0, None, None).plan()


@pytest.fixture
def folder(tmp_path):
    make_run(tmp_path / "run", PLAN, DDP, steps=5)
    return tmp_path / "run"


@pytest.fixture
def own(tmp_path):
    """A run of an own command that records nothing of its training."""
    made = tmp_path / "own"
    made.mkdir()
    about = {
        "version": 1,
        "slug": "own",
        "profile": "wan",
        "topology": "ring",
        "nodes": 2,
        "seed": 0,
        "label": "lr=0.1",
    }
    command = {"command": ["python", "train.py"], "parameters": {"lr": "0.1"}, "plan": PLAN.to_json()}
    write_lines(made / "run.json", [{**about, **command, "started": CREATED}])
    write_lines(made / "end.json", [{"status": "finished", "seconds": 12.5, "code": 0}])
    return made


def load(folder):
    """The run and the notes that are not about experiment.json."""
    experiment = load_experiment(folder)
    (run,) = experiment.runs
    return run, [str(note) for note in experiment.notes]


def edge(src, dst, sent, backlog=0):
    counts = {"sent_packets": sent // 100, "sent_bytes": sent, "dropped": 0}
    return {"src": src, "dst": dst, **counts, "backlog_bytes": backlog, "backlog_packets": 0}


def links(time, *edges, attempt=1, tcp=None):
    return {"time": time, "attempt": attempt, "edges": list(edges), "tcp": tcp or {}}


def segments(sent, again):
    return {"sent_segments": sent, "retransmitted_segments": again}


# Links


def test_what_a_line_leaves_out_has_not_changed(folder):
    lines = [
        links(1.0, edge(0, 1, 100), edge(1, 0, 50), tcp={"0": segments(9, 1), "1": segments(8, 0)}),
        links(1.1, edge(0, 1, 300)),
        links(1.2, edge(1, 0, 70), tcp={"1": segments(9, 0)}),
        links(1.3),
    ]
    write_lines(folder / "links.jsonl", lines)
    run, notes = load(folder)
    assert not notes
    assert [(one.edges[0, 1].sent_bytes, one.edges[1, 0].sent_bytes) for one in run.links] == [
        (100, 50), (300, 50), (300, 70), (300, 70)
    ]  # fmt: skip
    assert [one.tcp for one in run.links] == [{0: (9, 1), 1: (8, 0)}] * 2 + [{0: (9, 1), 1: (9, 0)}] * 2
    assert run.links[3].edges is run.links[2].edges, "what has not changed takes memory once"


def test_every_attempt_begins_with_its_own_counters(folder):
    lines = [links(1.0, edge(0, 1, 100), edge(1, 0, 50)), links(9.0, edge(0, 1, 7), attempt=2), links(9.1, attempt=2)]
    write_lines(folder / "links.jsonl", lines)
    assert [one.edges.keys() for one in load(folder)[0].links] == [{(0, 1), (1, 0)}, {(0, 1)}, {(0, 1)}]


def test_a_broken_line_of_links_costs_that_line_only(folder):
    bad = links(1.1, {**edge(0, 1, 300), "sent_bytes": "many"})
    odd = links(1.2, {"src": 0, "dst": 1, "sent_bytes": 400.0})
    write_lines(folder / "links.jsonl", [links(1.0, edge(0, 1, 100)), bad, odd, links(1.3, {"src": -1, "dst": 1})])
    run, notes = load(folder)
    assert [one.edges[0, 1] for one in run.links] == [EdgeCount(1, 100, 0, 0, 0), EdgeCount(0, 400, 0, 0, 0)]
    assert len(notes) == 2
    assert "sent_bytes is 'many', not a number; line ignored" in notes[0]


def test_many_broken_lines_are_noted_a_few_times(folder):
    write_lines(folder / "links.jsonl", [links("x")] * 50)
    assert load(folder)[1][-1] == "run/links.jsonl: 47 more such lines ignored"


def test_nodes_that_sample_ten_times_a_second_are_joined_to_tenths(folder):
    (folder / "links.jsonl").unlink()
    for rank in (0, 1):
        mine = [links(5 + n / 10 + 0.002 * rank, edge(rank, 1 - rank, 10 * n + 10)) for n in range(21)]
        write_lines(folder / f"links-{rank}.jsonl", mine)
    run, _ = load(folder)
    assert len(run.links) == 21
    assert run.links[7].edges == {(0, 1): EdgeCount(0, 80, 0, 0, 0), (1, 0): EdgeCount(0, 80, 0, 0, 0)}
    assert run.links[7].time == pytest.approx(5.701)


def test_a_node_that_samples_more_rarely_than_others_has_true_rates(folder):
    """Its links must not seem to rest between its samples, and then to carry everything at once."""
    (folder / "links.jsonl").unlink()
    write_lines(folder / "links-0.jsonl", [links(100 + n / 10, edge(0, 1, 100 * n)) for n in range(41)])
    write_lines(folder / "links-1.jsonl", [links(100 + n, edge(1, 0, 1000 * n)) for n in range(5)])
    for rank in (0, 1):
        (folder / f"rank-{rank}.jsonl").unlink()
    run, _ = load(folder)
    moments = edge_moments(run)
    assert {moment.edge: moment.bit_s for moment in moments} == pytest.approx({(0, 1): 8000.0, (1, 0): 8000.0})
    assert {moment.edge for moment in moments if abs(moment.seconds - 3) < 0.01} == {(0, 1), (1, 0)}
    use = link_use(run)
    assert use is not None
    assert use.sent_packets == 80


def test_rates_are_of_a_second_however_often_there_are_samples(folder):
    """Ten packets in one of ten samples are no peak of ten times the rate; the longest queue is kept."""
    lines = [
        links(CREATED + 2 + n / 10, edge(0, 1, 1000 * (n // 10), backlog=77 if n == 14 else n % 3), edge(1, 0, 0),
              tcp={"0": segments(n, n // 10)})
        for n in range(35)
    ]  # fmt: skip
    write_lines(folder / "links.jsonl", lines)
    run, _ = load(folder)
    moments = [moment for moment in edge_moments(run) if moment.edge == (0, 1)]
    assert [round(moment.seconds, 1) for moment in moments] == pytest.approx([1.0, 2.0, 3.0, 3.4])
    assert max(moment.bit_s for moment in moments) == pytest.approx(8000)
    assert sum(moment.bit_s * s for moment, s in zip(moments, (1, 1, 1, 0.4), strict=True)) == pytest.approx(24e3)
    assert [moment.backlog_bytes for moment in moments] == [2, 77, 2, 2]
    assert [round(moment.seconds, 1) for moment in tcp_moments(run)] == pytest.approx([1.0, 2.0, 3.0, 3.4])
    assert len(edge_moments(run, window=0)) == 2 * 34


def test_a_run_of_many_samples_takes_little_memory(folder):
    """As dicts of records they took 300 bytes per edge and sample: 1.7 GB of 192 runs of two minutes."""
    pairs = [(src, dst) for src in range(6) for dst in range(6) if src != dst]
    lines = [links(n / 10, *(edge(*pair, 10**9 + 1500 * n, backlog=7 * n) for pair in pairs)) for n in range(300)]
    write_lines(folder / "links.jsonl", lines)
    write_lines(
        folder / "flows.jsonl", [ABOUT, *(flows(n / 10, [7, n, n, n, n, 10**6 + n, n, n]) for n in range(3000))]
    )
    tracemalloc.start()
    try:
        run, _ = load(folder)
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (len(run.links), len(run.flows[0].samples)) == (300, 3000)
    assert kept < 70 * (300 * len(pairs) + 3000) + 200_000


def test_counters_in_arrays_read_as_a_dict_of_records():
    first = EdgeCounts({}, array("q")).changed({(0, 1): (1, 2, 3, 4, 5), (1, 0): EdgeCount(6, 7, 8, 9, 10)})
    later = first.changed({(1, 0): (7, 7, 7, 7, 7), (1, 2): (0, 0, 0, 0, 9)})
    assert first == {(0, 1): EdgeCount(1, 2, 3, 4, 5), (1, 0): EdgeCount(6, 7, 8, 9, 10)}
    assert later == {**first, (1, 0): EdgeCount(7, 7, 7, 7, 7), (1, 2): EdgeCount(0, 0, 0, 0, 9)}
    assert (len(first), (1, 2) in first, first.get((1, 2))) == (2, False, None)
    assert later.changed({(1, 0): (7, 7, 7, 7, 7)}) is later


def test_samples_in_arrays_read_as_a_tuple_of_records():
    rows = [(3.0, 1, 0.5, 2, 8.0, 10**15, 0.25, 0.125), (1.0, 4, 0.5, 0, 8.0, 5, 0.0, 0.0)]
    samples = FlowSamples(array("d", [value for row in rows for value in row]))
    expected = [FlowSample(*row) for row in sorted(rows)]
    assert (list(samples), samples[0], samples[-1], samples[:1]) == (expected, *expected, expected[:1])
    assert isinstance(samples[-1].acked_bytes, int)
    assert bisect_left(samples, 2.0, key=lambda one: one.time) == 1
    with pytest.raises(IndexError):
        samples[2]
    assert not FlowSamples(array("d"))


# Flows

FLOW = {"kind": "flow", "time": 1.0, "attempt": 1, "id": 7, "src": 0, "dst": 1, "src_port": 40001, "dst_port": 29500}
ABOUT = {**FLOW, "congestion_control": "cubic", "mss": 1448}


def flows(time, *values, attempt=1):
    return {"kind": "sample", "time": time, "attempt": attempt, "flows": list(values)}


def test_flows_are_read_in_the_report_s_units(folder):
    end = {"kind": "end", "time": 3.0, "attempt": 1, "id": 7}
    lines = [
        ABOUT,
        flows(1.5, [7, 10, 48_000, 0, 1000, 5, 2_000_000, 0]),
        flows(2, [7, 12, 50_000, 3, 2000, 9, 1, 1]),
        end,
    ]
    write_lines(folder / "flows.jsonl", lines)
    run, notes = load(folder)
    assert not notes
    (flow,) = run.flows
    assert flow.samples[0] == pytest.approx(FlowSample(1.5, 10, 0.048, 0, 8000.0, 5, 2.0, 0.0))
    assert (len(flow.samples), flow.ended) == (2, 3.0)
    assert (flow.src, flow.dst, flow.dst_port, flow.congestion_control, flow.mss) == (0, 1, 29500, "cubic", 1448)


def test_the_flows_of_every_node_and_attempt_are_apart(folder):
    for rank in (0, 1):
        mine = [{**ABOUT, "src": rank, "dst": 1 - rank}, flows(2.0, [7, 10 + rank, 1, 0, 0, 0, 0, 0])]
        again = [{**ABOUT, "attempt": 2, "src": rank}, flows(8.0, [7, 30, 1, 0, 0, 0, 0, 0], attempt=2)]
        write_lines(folder / f"flows-{rank}.jsonl", mine + again)
    found = [(one.src, one.attempt, [sample.cwnd for sample in one.samples]) for one in load(folder)[0].flows]
    assert found == [(0, 1, [10]), (0, 2, [30]), (1, 1, [11]), (1, 2, [30])]


@pytest.mark.parametrize(
    "values", [[7, 1], "x", None, [7, 10, "x", 0, 0, 0, 0, 0], [7, 10, math.nan, 0, 0, 0, 0, 0], []]
)
def test_a_broken_sample_of_flows_is_noted(folder, values):
    write_lines(folder / "flows.jsonl", [ABOUT, flows(1.0, values), flows(2.0, [7, 10, 1, 0, 0, 0, 0, 0])])
    run, notes = load(folder)
    assert [len(flow.samples) for flow in run.flows] == [1]
    assert notes[0].startswith("run/flows.jsonl:2: flows has ")


def test_samples_of_a_flow_that_nothing_describes_are_noted(folder):
    with (folder / "flows.jsonl").open("w") as file:
        file.write(json.dumps(flows(1.0, [7, 10, 1, 0, 0, 0, 0, 0])) + "\n" + json.dumps(ABOUT)[:40])
    run, notes = load(folder)
    assert run.flows == ()
    assert "run/flows.jsonl:2: the last line was cut off; ignored" in notes
    assert "run/flows.jsonl: samples of 1 flows that no line describes; ignored" in notes


# Collectives


def collective(start, step=None, **more):
    return {
        "op": "all_reduce",
        "start": start,
        "seconds": 0.5,
        "bytes": 40,
        "ranks": 2,
        "group": "g",
        "step": step,
        **more,
    }


def test_collectives_one_by_one(folder):
    lines = [collective(2.0, 1, seconds=None), {"missed": 12, "time": 3.0}, collective(1.0), {"missed": 3, "time": 4.0}]
    write_lines(folder / "collectives-1.jsonl", [*lines, collective("x")])
    run, notes = load(folder)
    assert [len(rank.timed) for rank in run.ranks] == [0, 2]
    assert run.ranks[1].timed[0] == TimedCollective("all_reduce", 1.0, 0.5, 40, 2, "g", None)
    assert (run.ranks[1].timed[1].seconds, run.ranks[1].timed[1].step, run.ranks[1].untimed) == (None, 1, 15)
    assert notes == ["run/collectives-1.jsonl:5: start is 'x', not a number; line ignored"]


def test_what_a_resumed_attempt_did_again_is_void(folder):
    """Collectives and logged values of steps after the one from which it goes on, until it began."""
    start = {"kind": "start", "rank": 0, "size": 2}
    steps = [
        {"kind": "step", "step": n, "time": 100.0 + n, "elapsed": n, "loss": 1.0, "seconds": 1, "seconds_compute": 1,
         "seconds_comm": 0}
        for n in range(1, 6)
    ]  # fmt: skip
    logs = [{"kind": "log", "time": time, "step": None, "values": {"loss": time}} for time in (102.5, 104.5)]
    again = {**start, "time": 200.0, "resumed_from": 3}
    late = {"kind": "log", "time": 201.0, "step": 4, "values": {"loss": 0.5}}
    write_lines(folder / "rank-0.jsonl", [{**start, "time": 100.0, "resumed_from": None}, *steps, *logs, again, late])
    write_lines(folder / "collectives-0.jsonl", [collective(at, step=None) for at in (102.9, 103.1, 199.0, 200.5)])
    rank = load(folder)[0].ranks[0]
    assert [one.start for one in rank.timed] == [102.9, 200.5]
    assert [one.time for one in rank.logs] == [102.5, 201.0]


# Own commands


def log(time, step, **values):
    return {"kind": "log", "time": CREATED + time, "step": step, "values": values}


def test_a_command_that_records_nothing_of_its_own_is_nothing_odd(own):
    write_lines(own / "links.jsonl", [links(CREATED, edge(0, 1, 0)), links(CREATED + 1, edge(0, 1, 900))])
    run, notes = load(own)
    assert notes == []
    assert (run.label, run.strategy, run.ranks, run.status) == ("lr=0.1", "own command", (), "finished")
    figures = run_figures(run)
    assert (figures.seconds, figures.sent_bytes, figures.curve.points) == (12.5, 900, ())


def test_the_curve_of_an_own_script_is_the_mean_over_the_ranks_that_log(own):
    write_lines(own / "rank-0.jsonl", [log(2, 1, loss=4.0), log(3, 2, loss=2.0, accuracy=0.5), log(4, None, loss=9.0)])
    write_lines(own / "rank-1.jsonl", [log(2.5, 1, loss=6.0, lr=0.1)])
    write_lines(own / "links.jsonl", [links(CREATED + n, edge(0, 1, 100 * n), edge(1, 0, 10 * n)) for n in range(5)])
    run, notes = load(own)
    assert notes == []
    curve = run_figures(run).curve
    assert curve.kind == "logged loss"
    assert [(p.step, p.seconds, p.loss, p.accuracy, p.bytes) for p in curve.points] == [
        (1, 2.5, 5.0, None, 220), (2, 3.0, 2.0, 0.5, 330)
    ]  # fmt: skip


def test_values_of_a_rank_that_never_names_a_step_are_counted(own):
    write_lines(own / "rank-0.jsonl", [log(2, None, loss=4.0), log(2.5, None, epoch=1), log(3, None, loss=2.0)])
    write_lines(own / "rank-1.jsonl", [log(2, 1, loss=6.0)])
    points = run_figures(load(own)[0]).curve.points
    assert [(point.step, point.loss) for point in points] == [(1, 5.0), (2, 2.0)]


def test_without_a_start_the_clock_begins_with_the_first_log(own):
    about = json.loads((own / "run.json").read_text())
    del about["started"]
    (own / "run.json").write_text(json.dumps(about))
    write_lines(own / "rank-0.jsonl", [log(2, None, epoch=1), log(3, 1, loss=4.0)])
    write_lines(own / "links.jsonl", [links(CREATED + n, edge(0, 1, 100 * n)) for n in range(5)])
    run, _ = load(own)
    assert [point.seconds for point in run_figures(run).curve.points] == [1.0]
    assert [moment.seconds for moment in edge_moments(run)] == [-1.0, 0.0, 1.0, 2.0], "links have the same clock"


def test_accuracy_at_other_steps_than_the_loss_keeps_the_last_loss(own):
    lines = [log(1, 0, accuracy=0.1), log(2, 1, loss=4.0), log(3, 2, loss=None), log(4, 3, accuracy=0.75)]
    write_lines(own / "rank-1.jsonl", [*lines, log(5, 4, loss=1.0)])
    curve = run_figures(load(own)[0]).curve
    assert [(point.step, point.loss, point.accuracy) for point in curve.points] == [(1, 4.0, None), (4, 1.0, None)]
    assert curve.diverged == 2
    write_lines(own / "rank-1.jsonl", [log(2, 1, loss=4.0), log(4, 3, accuracy=0.75)])
    points = run_figures(load(own)[0]).curve.points
    assert [(point.step, point.loss, point.accuracy) for point in points] == [(1, 4.0, None), (3, 4.0, 0.75)]


def test_accuracy_alone_is_an_error(own):
    write_lines(own / "rank-0.jsonl", [log(2, 1, accuracy=0.25), log(4, 3, accuracy=0.75)])
    curve = run_figures(load(own)[0]).curve
    assert (curve.kind, [point.loss for point in curve.points]) == ("logged error", [0.75, 0.25])


def test_broken_logs_are_noted_and_the_rest_counts(own):
    bad = [{"kind": "log", "time": 1.0, "step": 1, "values": [1]}, log(1, -1, loss=1.0), log(1, 1, loss="low")]
    write_lines(own / "rank-0.jsonl", [*bad, log(2, 1, loss=1.0)])
    run, notes = load(own)
    assert [one.values for one in run.ranks[0].logs] == [{"loss": 1.0}]
    assert len([note for note in notes if note.startswith("own/rank-0.jsonl:")]) == 3


def test_collectives_of_a_job_that_records_no_steps_are_read(own):
    write_lines(own / "collectives-1.jsonl", [collective(1.0)])
    run, notes = load(own)
    assert notes == ["own/links.jsonl: missing: there are no link statistics of this run"]
    assert [len(rank.timed) for rank in run.ranks] == [0, 1]
