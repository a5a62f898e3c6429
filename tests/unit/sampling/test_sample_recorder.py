"""What is written of nodes, once, ten times a second, and where something fails."""

import json
import os
import resource
import signal

import pytest

from harness.errors import HarnessError
from harness.sampling.journal import Journal
from harness.sampling.lines import LinkLines
from harness.sampling.node import NodeSample
from harness.sampling.sample_recorder import SampleRecorder
from tests.unit.sampling.test_lines import NO_FLOWS


class Node:
    """One edge, on which a packet more was sent at each look."""

    def __init__(self, rank):
        self.rank, self.looks, self.problem, self.texts = rank, 0, None, []

    def sample(self, *, thorough):
        if self.problem:
            raise self.problem
        self.looks += 1
        return NodeSample({(self.rank, self.rank + 1): (self.looks, 100, 0, 0, 0)}, (5, 0), NO_FLOWS)

    def notes(self):
        return self.texts


@pytest.fixture
def nodes():
    return {rank: Node(rank) for rank in range(2)}


@pytest.fixture
def said():
    return []


@pytest.fixture
def recorder(nodes, tmp_path, said):
    return SampleRecorder(nodes, (tmp_path / "links.jsonl", tmp_path / "flows.jsonl"), 3, said.append)


def lines(tmp_path):
    return [json.loads(line) for line in (tmp_path / "links.jsonl").read_text().splitlines()]


def test_once_a_second_and_at_the_end_a_line_has_everything(recorder, tmp_path):
    for tick in range(15):
        recorder.record(1000.0 + tick / 10)
    recorder.record(1001.45, last=True)
    full = [line["time"] for line in lines(tmp_path) if line["tcp"]]
    assert full == [1000.0, 1001.0, 1001.45]
    assert len(lines(tmp_path)) == 16
    assert {line["attempt"] for line in lines(tmp_path)} == {3}


def test_a_node_that_is_gone_is_said_once_and_the_others_are_recorded(recorder, nodes, tmp_path, said):
    nodes[1].problem = OSError(19, "No such device")
    for tick in range(3):
        recorder.record(1000.0 + tick / 10)
    assert said == ["node 1 is not sampled: No such device"]
    assert [edge["src"] for line in lines(tmp_path) for edge in line["edges"]] == [0, 0, 0]
    nodes[1].problem = None
    recorder.record(1000.3)
    assert [edge["src"] for edge in lines(tmp_path)[-1]["edges"]] == [0, 1]


def test_what_happens_to_an_engine_is_said_once(recorder, nodes, said):
    nodes[0].texts = nodes[1].texts = ["12:00:00: the shaper daemon was killed"]
    recorder.record(1000.0)
    recorder.record(1001.0)
    assert said == nodes[0].texts


@pytest.fixture
def small_files():
    """No file may grow over 100 bytes, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    def allow(size):
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))

    yield allow
    allow(soft)
    signal.signal(signal.SIGXFSZ, before)


def test_a_full_disk_is_said_once_and_what_waited_is_written_when_there_is_room(tmp_path, said, small_files):
    journal = Journal(tmp_path / "links.jsonl", said.append)
    journal.add(["a" * 60])
    small_files(100)
    for letter in "bcd":
        journal.add([letter * 60])
    small_files(-1)
    (text,) = said
    assert text.endswith("cannot be written: File too large; the job goes on")
    assert (tmp_path / "links.jsonl").read_text() == "a" * 60 + "\n"
    journal.add(["e" * 60])
    assert (tmp_path / "links.jsonl").read_text().split() == [letter * 60 for letter in "abcde"]


def test_a_disk_that_stays_full_costs_no_memory(tmp_path, said, small_files):
    journal = Journal(tmp_path / "links.jsonl", said.append)
    small_files(100)
    for _ in range(200):
        journal.add(["x" * 10_000])
    small_files(-1)  # pytest's own output may be a file
    assert len(journal._waiting) < 1.1 * (1 << 20)
    assert len(said) == 1


def test_a_file_that_cannot_be_opened_is_an_error(nodes, tmp_path, said):
    os.mkdir(tmp_path / "links.jsonl")
    with pytest.raises(HarnessError, match=r"links\.jsonl cannot be written: Is a directory"):
        SampleRecorder(nodes, (tmp_path / "links.jsonl", tmp_path / "flows.jsonl"), 1, said.append)


def test_old_readers_find_a_line_of_json(nodes):
    samples = {rank: node.sample(thorough=True) for rank, node in nodes.items()}
    assert json.loads(LinkLines(1).line(1.0, samples, full=True))["edges"][0]["sent_bytes"] == 100
