"""Cross traffic beside a run: read, put on the run's clock, and named in its explanation."""

from dataclasses import replace

import pytest

from harness.experiment.report.analysis.explain import explain
from harness.experiment.report.analysis.figures import run_figures
from harness.experiment.report.analysis.traffic import competition, traffic_spans
from harness.experiment.report.load.jsonl import Oddities
from harness.experiment.report.load.network_records import EdgeCount, FlowRecord, LinkSample
from harness.experiment.report.load.rank_records import Rank, RecordedStep
from harness.experiment.report.load.records import RecordedRun
from harness.experiment.report.load.traffic import load_traffic, without_traffic
from harness.experiment.report.page.links import traffic_words
from harness.experiment.report.page.run_data import traffic_table
from harness.experiment.trace.events import Instant
from harness.experiment.trace.network import load_events
from harness.experiment.trace.timeline import timeline
from harness.model.capacity import Capacity, NodeShape
from harness.model.units import Rate
from harness.traffic.spec import parse_spec
from harness.traffic.totals import Totals
from tests.support.plans import network, shape
from tests.support.runs import write_lines

PLAN = network("line", 3, e01=shape(rate="50mbit"), e12=shape(rate="40mbit"))
STEPS = tuple(RecordedStep(n, 100.0 + n, float(n), 1.0, 1.0, 0.4, 0.6, 0, 0) for n in range(1, 11))
SAMPLES = [LinkSample(100.0 + n, {(0, 1): EdgeCount(n, n * 1000, 0, 0, 0)}, {}) for n in range(11)]


def line(kind, seconds, received, lost=0, number=1, spec=None):
    spec = spec or parse_spec("0-2", rate="30mbit")
    head = {"kind": kind, "time": 98.0 + seconds, "id": number, "began": 98.0}
    start = {**spec.to_json(), "port": 4000, "path": [[0, 1], [1, 2]]} if kind == "start" else {}
    return {**head, **start, **Totals(seconds, received, received, lost).to_json()}


WHOLE = [line("start", 2, 7_500_000), line("sample", 7, 25_000_000, 3), line("stop", 12, 45_000_000, 8)]


@pytest.fixture
def read(tmp_path):
    def read(lines):
        oddities = Oddities(tmp_path)
        write_lines(tmp_path / "traffic.jsonl", lines)
        return load_traffic(tmp_path / "traffic.jsonl", oddities), oddities.notes

    return read


def run(traffic, plan=PLAN, links=SAMPLES):
    ranks = (Rank(0, STEPS), Rank(1, STEPS))
    made = RecordedRun("s", "wan", "line", 3, 0, "ddp", "ddp", None, "netem", {}, plan, ranks, tuple(links))
    return replace(made, traffic=traffic)


def test_a_load_is_what_its_lines_say(read):
    (load,), notes = read(WHOLE)
    assert not notes
    assert (load.src, load.dst, load.what, load.path, load.port) == (0, 2, "UDP at 30 Mbit/s", ((0, 1), (1, 2)), 4000)
    assert (load.began, load.ended) == (100.0, 110.0)
    assert load.bit_s == 30e6


def test_a_number_that_is_given_again_is_another_load(read):
    again = [{**one, "began": 200.0, "time": one["time"] + 102} for one in WHOLE[:2]]
    loads, notes = read([*WHOLE, *again])
    assert [(load.began, load.ended) for load in loads] == [(100.0, 110.0), (202.0, None)]
    assert not notes


def test_a_broken_line_is_a_note_and_the_rest_counts(read):
    (load,), notes = read([*WHOLE[:1], {"kind": "start"}, {**WHOLE[0], "flows": None, "rate_bit_s": None}, *WHOLE[1:]])
    assert len(notes) == 2
    assert load.bit_s == 30e6


def test_no_file_is_no_traffic(tmp_path):
    assert load_traffic(tmp_path / "traffic.jsonl", Oddities(tmp_path)) == ()


def test_its_own_connections_are_not_the_jobs(read):
    loads, _ = read(WHOLE)
    job = FlowRecord(1, 1, 0, 2, 4000, 29500, "cubic", 1448)
    there, back = FlowRecord(2, 1, 0, 2, 5000, 4000, "cubic", 1448), FlowRecord(3, 1, 2, 0, 4000, 5000, "cubic", 1448)
    assert without_traffic([job, there, back], loads) == (job,)


def test_it_stands_on_the_runs_clock(read):
    found = run(read(WHOLE)[0])
    (span,) = traffic_spans(found)
    assert (span.start, span.end) == (0.0, 10.0)
    words = "0→2, UDP at 30 Mbit/s: 30 Mbit/s arrived, 8 packets lost"
    assert traffic_table(run_figures(found)).rows == ((0.0, 10.0, words),)
    assert traffic_words(run_figures(found)) == [f"cross traffic from 0 s to 10 s: {words}"]


def test_the_explanation_names_what_it_took_of_the_tightest_place(read):
    found = run(read(WHOLE)[0])
    assert competition(found) == "Cross traffic took 30 of 40 Mbit/s of edge 1->2."
    assert explain(found).sentence.endswith(" Cross traffic took 30 of 40 Mbit/s of edge 1->2.")
    capped = PLAN.with_nodes({0: NodeShape(uplink=Capacity(Rate(32_000_000)))})
    assert competition(run(read(WHOLE)[0], capped)) == "Cross traffic took 30 of 32 Mbit/s of the uplink of node 0."


def test_part_of_the_time_and_links_without_a_rate(read):
    loads, _ = read([line("start", 4, 0), line("stop", 9, 18_750_000)])
    assert competition(run(loads)) == "Cross traffic took 30 of 40 Mbit/s of edge 1->2 for 5 s of 10 s."
    free = network("line", 3)
    assert competition(run(loads, free)) == "Cross traffic (1 load) carried 30 Mbit/s beside it for 5 s of 10 s."
    assert competition(run(())) == ""


def test_a_trace_marks_it_and_has_its_rate(read):
    found = run(read(WHOLE)[0])
    marks = [one for one in timeline(found).events() if isinstance(one, Instant) and "cross traffic" in one.name]
    assert [(one.name, one.time) for one in marks] == [
        ("cross traffic 0→2: UDP at 30 Mbit/s", 100.0),
        ("cross traffic 0→2 ends", 110.0),
    ]
    assert [(one.time, one.value) for one in load_events(found.traffic)] == [(100.0, 28.0), (105.0, 32.0), (110.0, 0)]
