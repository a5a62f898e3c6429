"""harness.experiment.trace: what is in the file, read back, is what the report says of the same run."""

import io
import json
from dataclasses import replace

import pytest

from harness.experiment.report.analysis.figures import run_figures
from harness.experiment.report.load import load_experiment
from harness.experiment.report.load.network_records import RecordedChange
from harness.experiment.report.load.records import RecordedRun
from harness.experiment.trace import timeline
from harness.experiment.trace.write import ENDINGS, write_trace
from harness.model.plan_options import PlanOptions
from tests.support.runs import CREATED, DDP, make_run, read_lines, write_lines
from tests.support.traces import area, check_sums, read_trace

PLAN = PlanOptions(3, "ring", "wan", None, 0, None, None).plan()


@pytest.fixture(params=ENDINGS)
def kind(request):
    if "pftrace" in request.param:
        pytest.importorskip("perfetto", reason="the extra 'perfetto' is not installed")
    return request.param


@pytest.fixture
def write(tmp_path, kind):
    def writer(run):
        path = tmp_path / f"trace{kind}"
        with path.open("wb") as file:
            writer.summary = write_trace(timeline(run), file, kind, lambda text: None)
        return read_trace(path)

    return writer


@pytest.fixture
def folder(tmp_path):
    """A run of three ranks with everything that there may be."""
    made = tmp_path / "run"
    make_run(made, PLAN, DDP, steps=40)
    edge = PLAN.to_json()["edges"]
    both = [one for one in edge if {one["src"], one["dst"]} == {0, 1}]
    slower = [{"src": e["src"], "dst": e["dst"], "before": e, "after": {**e, "delay_s": 0.12}} for e in both]
    down = [{"src": 1, "dst": 2, "before": both[0], "after": {**both[0], "down": True}}]
    changes = [
        {"asked": CREATED + at, "acknowledged": CREATED + at + 0.01, "edges": e} for at, e in ((3, slower), (4, down))
    ]
    write_lines(made / "changes.jsonl", changes)
    about = {"op": "all_reduce", "bytes": 4000, "ranks": 3, "group": "default_pg"}
    for rank in range(3):
        # Two of them overlap, and one has no end.
        timed = [(3.0, 0.5), (3.2, 0.5), (3.5, 0.1), (3.9, None), (4.0, 0.0)]
        lines = [{**about, "start": CREATED + at, "seconds": took, "step": 1} for at, took in timed]
        write_lines(made / f"collectives-{rank}.jsonl", lines)
    flow = {"kind": "flow", "time": CREATED + 2, "attempt": 1, "src_port": 40001, "dst_port": 29500, "mss": 1448}
    samples = [
        [1, 10, 24_000, 0, 1_000_000, 0, 0, 0],
        [1, 20, 24_500, 3, 2_000_000, 0, 0, 0],
        [1, 20, 24_500, 4, 1, 0, 0, 0],
    ]
    lines = [{**flow, "id": 1, "src": 0, "dst": 1, "congestion_control": "cubic"}]
    lines += [
        {"kind": "sample", "time": CREATED + 2 + n, "attempt": 1, "flows": [one]} for n, one in enumerate(samples)
    ]
    lines += [{"kind": "end", "time": CREATED + 6, "attempt": 1, "id": 1}]
    write_lines(made / "flows.jsonl", lines)
    return made


def load(folder):
    (run,) = load_experiment(folder).runs
    return run


def test_the_sums_of_a_trace_are_those_of_the_report(folder, write):
    run = load(folder)
    figures, read = run_figures(run), write(run)
    check_sums(read, run)
    assert sum(one[5].get("sent_bytes", 0) for one in read.slices) == figures.sent_bytes
    counts = {"steps": 3 * 40, "collectives": 3 * 5, "changes": 2}
    assert write.summary.items() >= counts.items()


def test_the_area_of_a_rate_is_the_bytes_of_its_edge(folder, write):
    run = load(folder)
    read, use = write(run), run_figures(run).links
    drops = 0.0
    for (src, dst), count in run.links[-1].edges.items():
        rate = read.counters["links", f"{src}→{dst} rate Mbit/s"]
        assert area(rate) * 1e6 / 8 == pytest.approx(count.sent_bytes - run.links[0].edges[src, dst].sent_bytes, abs=2)
        assert rate[-1][1] == 0
        backlog = read.counters["links", f"{src}→{dst} backlog B"]
        assert max(value for _, value in backlog) == max(one.edges[src, dst].backlog_bytes for one in run.links)
        dropped = read.counters["links", f"{src}→{dst} drops packets"]
        drops += dropped[-1][1] - dropped[0][1]
    assert use is not None
    assert drops == use.dropped


def test_sparse_samples_of_two_attempts_have_the_same_area(folder, write):
    def line(time, sent, attempt=1):
        return {"time": CREATED + time, "attempt": attempt, "edges": [{"src": 0, "dst": 1, "sent_bytes": sent}]}

    rest = {"time": CREATED + 1.1, "attempt": 1, "edges": []}
    write_lines(folder / "links.jsonl", [line(1, 100), rest, line(1.2, 5100), line(9, 0, 2), line(9.1, 2000, 2)])
    rate = write(load(folder)).counters["links", "0→1 rate Mbit/s"]
    expected = [(0, 0), (0.1, 0.4), (0.2, 0), (8, 0.16), (8.1, 0)]
    assert [one[0] for one in rate] == pytest.approx([1 + at for at, _ in expected], abs=1e-6)
    assert [one[1] for one in rate] == pytest.approx([value for _, value in expected], abs=1e-5)


def test_flows_are_counters_until_they_end(folder, write):
    read = write(load(folder))
    ports = "40001→29500"
    assert read.counters["flows", f"0→1 cwnd {ports} segments"] == [(2, 10), (3, 20), (6, 0)]
    assert read.counters["flows", f"0→1 RTT {ports} ms"] == [(2, 24), (3, 24.5), (6, 0)]
    assert read.counters["flows", f"0→1 retransmits {ports} segments"] == [(2, 0), (3, 3), (4, 4)]
    assert read.counters["flows", f"0→1 delivery rate {ports} Mbit/s"][:2] == [(2, 8), (3, 16)]


def test_changes_start_and_end_are_instants(folder, write):
    instants = [one[2:4] for one in write(load(folder)).instants if one[0] == "run"]
    names = [name for name, _ in instants]
    assert names[:2] == ["start of the run", "link 0-1: delay 24.1 ms → delay 120 ms"]
    assert names[2].startswith("link 1→2: ")
    assert names[2].endswith(" → down")
    assert names[3:] == ["end of the run: finished"]
    assert [time for _, time in instants][:3] == pytest.approx([0, 3.01, 4.01], abs=1e-6)


def test_a_change_of_many_links_is_one_instant(write):
    change = RecordedChange(1.0, 2.5, tuple(f"{src}→{src + 1}: up → down" for src in range(5)))
    run = RecordedRun("s", "wan", "ring", 2, 0, "ddp", "ddp", None, "netem", {}, changes=(change,))
    (instant,) = write(run).instants
    assert instant[2:4] == ("link 0→1: up → down; 1→2: up → down and 3 more", 1.5)
    assert instant[4]["changed"].count("→ down") == 5


def test_a_change_of_limits_is_an_instant_that_counts_as_a_change(write):
    change = RecordedChange(1.0, 2.5, (), limits=("node 2: uplink no limit → 5 Mbit/s", "trunk a→b: x → y"))
    run = RecordedRun("s", "wan", "ring", 2, 0, "ddp", "ddp", None, "netem", {}, changes=(change,))
    made = write(run)
    assert made.instants[0][2] == "node 2: uplink no limit → 5 Mbit/s; trunk a→b: x → y"
    assert write.summary["changes"] == 1


def test_what_does_not_overlap_nests(folder, write):
    """Else Perfetto draws a slice elsewhere than it belongs."""
    read = write(load(folder))
    for rank in range(3):
        for _, _, name, start, seconds, _ in read.within(f"rank {rank}", "steps"):
            if name in ("compute", "wait"):
                parents = [one for one in read.within(f"rank {rank}", "steps") if one[2].startswith("step ")]
                assert any(one[3] <= start + 1e-6 and start + seconds <= one[3] + one[4] + 1e-6 for one in parents)


def test_a_step_that_began_before_the_last_one_had_ended_is_cut(folder, write):
    """By a change of the clock, or by a rounding error."""
    run = load(folder)
    first, second = run.ranks[0].steps[:2]
    early = replace(second, time=first.time + 0.001)
    read = write(replace(run, ranks=(replace(run.ranks[0], steps=(first, early)),)))
    steps = [one for one in read.within("rank 0", "steps") if one[2].startswith("step ")]
    assert [one[4] for one in steps] == pytest.approx([first.seconds, 0.001], abs=2e-6)


def test_logged_values_and_losses_are_counters(folder, write):
    path = folder / "rank-1.jsonl"
    logs = [
        {"kind": "log", "time": CREATED + 5, "step": 1, "values": {"lr": 0.1, "loss": None}},
        {"kind": "log", "time": CREATED + 6, "step": None, "values": {"lr": 0.2}},
    ]
    write_lines(path, [*read_lines(path), *logs])
    counters = write(load(folder)).counters
    assert counters["rank 1", "logged lr value"] == [(5, 0.1), (6, 0.2)]
    assert ("rank 1", "logged loss value") not in counters
    assert len(counters["rank 0", "training loss value"]) == 40
    evals = [line for line in read_lines(folder / "rank-0.jsonl") if line["kind"] == "eval"]
    assert [value for _, value in counters["rank 0", "held-out loss value"]] == [line["loss"] for line in evals]


def test_processes_come_in_order(folder, write):
    assert write(load(folder)).order == ["run", "rank 0", "rank 1", "rank 2", "links", "flows"]


def test_time_never_begins_before_the_timeline(folder, write):
    """Where a file has records from before run.json's start, as a resumed run has."""
    about = read_lines(folder / "run.json")[0]
    write_lines(folder / "run.json", [{**about, "started": CREATED + 100}])
    read = write(load(folder))
    assert min(one[3] for one in [*read.slices, *read.instants]) >= 0
    assert [one[3] for one in read.instants if one[2] == "start of the run"] == [100]


def test_a_run_without_any_records_can_be_written(write):
    run = RecordedRun("s", "wan", "ring", 2, 0, "ddp", "ddp", None, "netem", {})
    read = write(run)
    assert (read.slices, read.instants, dict(read.counters)) == ([], [], {})


def test_losses_that_are_no_numbers_are_words(folder, write):
    run = load(folder)
    first = run.ranks[0]
    steps = (replace(first.steps[0], loss=float("nan")), replace(first.steps[1], loss=float("-inf")))
    read = write(replace(run, ranks=(replace(first, steps=steps),)))
    assert [one[5]["loss"] for one in read.slices if "loss" in one[5]] == ["nan", "-inf"]


def test_the_same_records_make_the_same_file(folder, kind):
    made = []
    for _ in range(2):
        file = io.BytesIO()
        write_trace(timeline(load(folder)), file, kind, lambda text: None)
        made.append(file.getvalue())
    assert made[0] == made[1]


def test_progress_is_reported(monkeypatch, folder):
    monkeypatch.setattr("harness.experiment.trace.write._OFTEN", 100)
    told: list[str] = []
    summary = write_trace(timeline(load(folder)), io.BytesIO(), ".json", told.append)
    assert told[0] == "writing: 100 events"
    assert len(told) == summary["events"] // 100


def test_chrome_s_json_names_what_it_is_of(folder):
    file = io.BytesIO()
    write_trace(timeline(load(folder)), file, ".json", lambda text: None)
    about = json.loads(file.getvalue())["otherData"]
    assert about == {"run": "run", "profile": "wan", "topology": "ring", "label": "ddp", "began": CREATED}


def test_perfetto_reads_no_escapes_in_the_names_of_counters(folder):
    """Perfetto v52 showed ``0\\u21921 rate Mbit/s``."""
    file = io.BytesIO()
    write_trace(timeline(load(folder)), file, ".json", lambda text: None)
    assert '"name":"0→1 rate"' in file.getvalue().decode()
    assert b"\\u" not in file.getvalue()


def test_absences_are_slices_of_their_rank(folder, write):
    """With the cause as name; of one that was not back, to the end of the run."""
    away = [
        {"time": CREATED + 2, "rank": 1, "what": "kill", "until": CREATED + 3},
        {"time": CREATED + 3, "rank": 1, "what": "back", "until": None, "of": "kill"},
        {"time": CREATED + 4, "rank": 2, "what": "pause", "until": None},
    ]
    write_lines(folder / "away.jsonl", away)
    run = load(folder)
    read = write(run)
    assert [one[2:5] for one in read.within("rank 1", "away")] == [("killed", 2, pytest.approx(1))]
    (last,) = read.within("rank 2", "away")
    assert last[2:4] == ("paused", 4)
    assert last[3] + last[4] == pytest.approx(run.end.time - CREATED, abs=1e-5)
    cut_off = write(replace(run, end=None))
    assert ("rank 2", "away without end", "paused", 4) in [one[:4] for one in cut_off.instants]
