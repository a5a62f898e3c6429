"""The record of a run, whatever it runs: samples, output, its end; and a disk that takes no more."""

import json
import os
from pathlib import Path

import pytest

from harness.errors import HarnessError
from harness.experiment import recording as module
from harness.experiment.recording import Recording, network_facts, recorded_placement
from harness.networks.launch import LaunchOutcome
from harness.networks.placement import Placement
from harness.run_files import RunFolder
from tests.support.fakes import CountingNetwork

FACTS = {"attempt": 2, "started": 1000.0}


@pytest.fixture
def net():
    return CountingNetwork()


@pytest.fixture
def folder(tmp_path):
    return RunFolder(tmp_path)


@pytest.fixture
def told():
    return []


@pytest.fixture
def recording(net, folder, told):
    with Recording(net, folder, FACTS, told.append) as made:
        yield made


@pytest.fixture
def lenient(net, folder, told):
    return Recording(net, folder, FACTS, told.append, required=False)


def lines_of(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_recording_says_what_runs_and_takes_reshapes_and_output(recording, net, folder):
    recording.sink(1, "stdout", b"hello")
    recording.sink(1, "stderr", b"oh")
    assert folder.facts == FACTS
    assert net.recorded_in == folder.path
    assert (folder.path / "rank-1.log").read_text() == "--- attempt 2 ---\nhello\noh\n"


def test_ranks_find_the_folder(recording, folder, told):
    assert recording.environ == {"HARNESS_RUN_DIR": str(folder.path)}
    assert Recording(CountingNetwork("docker"), folder, FACTS, told.append).environ == {"HARNESS_RUN_DIR": "/runs"}
    relative = Recording(CountingNetwork(), RunFolder(Path("x")), FACTS, told.append)
    assert relative.environ == {"HARNESS_RUN_DIR": str(Path.cwd() / "x")}


def test_links_are_recorded_about_once_a_second_and_when_asked(recording, folder, monkeypatch):
    class Clock:
        now = 1000.0

        def time(self):
            return self.now

    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    for clock.now in (1000.0, 1000.25, 1000.5, 1000.75, 1001.0, 1001.25, 1002.3):
        assert recording.tick() is None
    recording.sample()
    found = lines_of(folder.path / "links.jsonl")
    assert [line["time"] for line in found] == [1000.0, 1000.5, 1002.3, 1002.3]
    assert found[0] == {
        "time": 1000.0,
        "attempt": 2,
        "edges": [
            {
                "src": 0,
                "dst": 1,
                "sent_packets": 1,
                "sent_bytes": 100,
                "dropped": 3,
                "backlog_bytes": 40,
                "backlog_packets": 2,
            }
        ],
        "tcp": {
            "0": {"sent_segments": 9, "retransmitted_segments": 4},
            "1": {"sent_segments": 0, "retransmitted_segments": 0},
        },
    }


def test_what_happens_to_the_makers_of_links_stays_in_the_record_and_is_told_once(recording, net, folder, told):
    for notes in ((), ("12:00: restarted",), ("12:00: restarted", "12:01: again")):
        net.notes = {0: notes, 1: notes[:1]}
        assert recording.sample() is None
    net.notes = {0: (), 1: ("12:02: restarted",)}
    recording.sample()
    recording.end("finished")
    assert folder.ending["notes"] == ["12:00: restarted", "12:01: again", "12:02: restarted"]
    assert told == [f"{folder.path.name}: {note}" for note in folder.ending["notes"]]


def test_a_network_that_is_gone_is_an_answer(recording, net):
    net.refuses = True
    assert str(recording.tick()) == "node 1: observe: it is gone"


def test_a_rank_that_failed_is_told_with_its_last_lines_of_this_attempt(recording):
    for number in range(30):
        recording.sink(1, "stdout", f"line {number}".encode())
    assert recording.ending(LaunchOutcome(9, 1, {1: 9, 0: 143})) == {
        "status": "failed",
        "code": 9,
        "codes": {"0": 143, "1": 9},
        "failed_rank": 1,
        "last_lines": [f"line {number}" for number in range(20, 30)],
    }


def test_a_program_whose_time_is_over_has_reached_a_limit(recording):
    found = recording.ending(LaunchOutcome(124, None, {0: 143, 1: 143}, cut=True, unended=(0, 1)))
    assert (found["status"], found["code"], found["failed_rank"]) == ("limit", 124, None)


def test_every_end_has_the_same_fields(recording, folder):
    recording.end(**recording.ending(LaunchOutcome(0, None, {0: 0, 1: 0})))
    fields = folder.ending.keys()
    recording.end("stopped", code=130)
    assert folder.ending.keys() == fields
    assert (folder.ending["status"], folder.ending["code"], folder.ending["codes"]) == ("stopped", 130, {})


def test_statistics_that_cannot_be_written_are_an_error_of_an_experiment(recording, folder):
    (folder.path / "links.jsonl").mkdir()
    with pytest.raises(HarnessError, match=r"links\.jsonl cannot be written: Is a directory"):
        recording.tick()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a Linux device")
def test_a_disk_that_is_full_is_said_once_and_the_run_goes_on(lenient, folder, told, monkeypatch):
    with lenient:
        lenient.sink(0, "stdout", b"before")
        full = os.open("/dev/full", os.O_WRONLY)
        monkeypatch.setattr(os, "open", lambda *_, **__: os.dup(full))
        assert lenient.tick() is None
        assert lenient.sample() is None
        monkeypatch.undo()
        os.close(full)
        lenient.sink(0, "stdout", b"after")
        lenient.end("finished")
    why = f"{folder.path}/links.jsonl cannot be written: No space left on device"
    assert told == [f"{why}: the record of this run will be incomplete, and the run goes on"]
    assert folder.ending["notes"] == [f"the record is incomplete: {why}"]
    assert (folder.path / "rank-0.log").read_text().endswith("before\nafter\n")


def test_a_folder_that_is_gone_is_said_once(net, tmp_path, told):
    folder = RunFolder(tmp_path / "file" / "x")
    (tmp_path / "file").write_text("no folder")
    with Recording(net, folder, FACTS, told.append, required=False) as made:
        made.sink(0, "stdout", b"lost")
        made.tick()
        made.end("finished")
    (line,) = told
    assert line.startswith(f"{folder.path}/run.json cannot be written: Not a directory")


def test_facts_of_the_network_have_its_plan_and_versions(net):
    facts = network_facts(net, "bbr")
    assert facts["plan"] == net.plan.to_json()
    assert (facts["nodes"], facts["runtime"], facts["engine"], facts["congestion_control"]) == (
        2,
        "netns",
        "fake",
        "bbr",
    )
    assert {"harness", "python", "kernel"} <= facts["versions"].keys()


def test_containers_have_the_folder_as_a_volume_and_namespaces_see_it(tmp_path):
    folder = RunFolder(tmp_path / "a" / "b")
    assert recorded_placement(Placement("docker"), folder).volumes == (f"{folder.path}:/runs",)
    assert folder.path.is_dir()
    assert recorded_placement(Placement(), folder) == Placement()
