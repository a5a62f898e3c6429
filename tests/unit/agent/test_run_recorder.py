"""The report can read what an agent writes to the run folder."""

import asyncio
import json
import os
from types import SimpleNamespace

import pytest

from harness.agent.node_recorder import NodeRecorder
from harness.agent.run_recorder import RunRecorder
from harness.errors import UnavailableError
from harness.experiment.report.load import load_experiment
from harness.sampling.flow_table import FlowNews
from harness.sampling.node import NodeSample
from tests.support.plans import network

PLAN = network("line", 2)
USER = os.getuid(), os.getgid()
"""Only pytest's user can use its folders; tests/docker has other users."""
NOW = 1_795_000_000.0


class CountingLinks:
    """One node's links, which have sent 100 bytes more at each look."""

    plan, engine = PLAN, SimpleNamespace(name="userspace")

    def __init__(self, rank):
        self.rank, self.looks = rank, 0

    def sampler(self):
        return self

    def sample(self, *, thorough):
        self.looks += 1
        counts = (self.looks, 100 * self.looks, 0, 0, 0)
        return NodeSample({(self.rank, 1 - self.rank): counts}, (9, self.looks), FlowNews([], [], []))

    def notes(self):
        return []

    def close(self):
        pass


@pytest.fixture
def clock(monkeypatch):
    made = SimpleNamespace(now=NOW)
    for module in ("run_recorder", "node_recorder"):
        monkeypatch.setattr(f"harness.agent.{module}.time", SimpleNamespace(time=lambda: made.now))
    return made


@pytest.fixture
def recorders(tmp_path):
    return [RunRecorder(tmp_path, CountingLinks(rank), "cubic", USER) for rank in range(2)]


def end(tmp_path):
    return json.loads((tmp_path / "end.json").read_text())


def test_the_report_joins_what_all_nodes_have_counted(tmp_path, clock):
    (tmp_path / "rank-0.jsonl").write_text("")
    nodes = [NodeRecorder(tmp_path, CountingLinks(rank), 1, USER, pytest.fail) for rank in range(2)]
    RunRecorder(tmp_path, CountingLinks(0), "cubic", USER)
    for second in range(3):
        for rank, node in enumerate(nodes):
            clock.now = NOW + second + 0.02 * rank
            node.sample()
    (run,) = load_experiment(tmp_path).runs
    assert (run.plan, run.engine, run.profile) == (PLAN, "userspace", PLAN.profile)
    assert [sample.edges[0, 1].sent_bytes for sample in run.links] == [100, 200, 300]
    assert [set(sample.edges) for sample in run.links] == [{(0, 1), (1, 0)}] * 3
    assert [sample.tcp for sample in run.links] == [{0: (9, n), 1: (9, n)} for n in (1, 2, 3)]


def test_rank_0_alone_describes_the_run(tmp_path):
    RunRecorder(tmp_path, CountingLinks(1), "cubic", USER)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["flows-1.jsonl", "links-1.jsonl"]


@pytest.mark.parametrize(
    ("code", "rank", "status", "told"),
    [(0, None, "finished", None), (7, 2, "failed", 2), (143, None, "stopped", None), (143, 1, "stopped", None)],
)
def test_how_a_job_ended(tmp_path, recorders, code, rank, status, told):
    recorders[1].end(code, rank)
    assert not (tmp_path / "end.json").exists()
    recorders[0].end(code, rank)
    assert (end(tmp_path)["status"], end(tmp_path)["code"], end(tmp_path)["failed_rank"]) == (status, code, told)


def test_what_the_trainer_has_recorded_of_the_end_stays(tmp_path, recorders):
    (tmp_path / "end.json").write_text('{"status": "failed", "code": 70, "last_lines": ["rank 0: step 3: closed"]}')
    recorders[0].end(137, 2)
    made = end(tmp_path)
    assert (made["code"], made["failed_rank"], made["last_lines"]) == (137, 2, ["rank 0: step 3: closed"])


def test_counters_are_recorded_until_the_job_ends(tmp_path, recorders):
    file = tmp_path / "links-0.jsonl"

    async def a_while():
        task = asyncio.create_task(recorders[0].run())
        while len(file.read_text().splitlines()) < 5:
            await asyncio.sleep(0.01)
        task.cancel()

    asyncio.run(asyncio.wait_for(a_while(), 30))
    recorders[0].end(0, None)
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert len(lines) == 6
    assert lines[-1]["edges"][0]["sent_packets"] == 6


def test_a_folder_that_cannot_be_written_to_is_logged_once_and_ends_no_job(tmp_path, capfd):
    (tmp_path / "file").write_text("")
    recorder = RunRecorder(tmp_path / "file" / "run", CountingLinks(0), "cubic", USER)
    asyncio.run(asyncio.wait_for(recorder.run(), 5))
    recorder.end(0, None)
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith("harness: this run is not recorded: ")


def test_counters_that_cannot_be_read_once_are_recorded_again_later(tmp_path, recorders, monkeypatch, capfd):
    def refuse(*_, **__):
        raise OSError(105, "No buffer space available")

    with monkeypatch.context() as patch:
        patch.setattr(CountingLinks, "sample", refuse)
        recorders[0].node.sample()
    assert "No buffer space" in capfd.readouterr().err
    recorders[0].node.sample()
    assert len((tmp_path / "links-0.jsonl").read_text().splitlines()) == 1


def test_what_cannot_be_sampled_is_logged_and_ends_no_job(tmp_path, monkeypatch, capfd):
    def refuse(_):
        raise UnavailableError("the shaper daemon is not running")

    monkeypatch.setattr(CountingLinks, "sampler", refuse)
    recorder = RunRecorder(tmp_path, CountingLinks(0), "cubic", USER)
    asyncio.run(asyncio.wait_for(recorder.run(), 5))
    recorder.end(0, None)
    assert "this run is not recorded: the shaper daemon is not running" in capfd.readouterr().err
