"""The record of a run, whatever it runs: samples, output, its end; and a disk that takes no more."""

import os
from pathlib import Path

import pytest

from harness.errors import HarnessError
from harness.experiment.recording import Recording, network_facts, recorded_placement
from harness.networks.launch import LaunchOutcome
from harness.networks.placement import Placement
from harness.run_files import RunFolder
from tests.support.fakes import FakeNetwork

FACTS = {"attempt": 2, "started": 1000.0}


@pytest.fixture
def net():
    return FakeNetwork()


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


def test_a_recording_says_what_runs_and_takes_reshapes_and_output(recording, net, folder):
    recording.sink(1, "stdout", b"hello")
    recording.sink(1, "stderr", b"oh")
    assert folder.facts == FACTS
    assert net.recorded_in == folder.path
    assert (folder.path / "rank-1.log").read_text() == "--- attempt 2 ---\nhello\noh\n"


def test_ranks_find_the_folder(recording, folder, told):
    assert recording.environ == {"HARNESS_RUN_DIR": str(folder.path)}
    assert Recording(FakeNetwork("docker"), folder, FACTS, told.append).environ == {"HARNESS_RUN_DIR": "/runs"}
    relative = Recording(FakeNetwork(), RunFolder(Path("x")), FACTS, told.append)
    assert relative.environ == {"HARNESS_RUN_DIR": str(Path.cwd() / "x")}


def test_links_and_flows_are_sampled_until_the_end(recording, net, folder):
    assert net.sampled == (net.plan, folder.path, 2)
    assert not net.sampling.events
    recording.end("finished")
    assert net.sampling.events


def test_whatever_ends_a_run_ends_the_sampling(net, folder):
    with pytest.raises(KeyboardInterrupt), Recording(net, folder, FACTS, print):
        raise KeyboardInterrupt
    assert net.sampling.events


def test_what_happens_to_the_makers_of_links_stays_in_the_record_and_is_told_once(recording, net, folder, told):
    for texts in (["12:00: restarted"], ["12:00: restarted", "12:01: again"], []):
        net.sampling.said = texts
        recording.tick()
    net.sampling.said = ["12:02: restarted"]
    recording.end("finished")
    assert folder.ending["notes"] == ["12:00: restarted", "12:01: again", "12:02: restarted"]
    assert told == [f"{folder.path.name}: {note}" for note in folder.ending["notes"]]


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


def test_links_that_cannot_be_sampled_are_an_error_of_an_experiment_and_a_gap_elsewhere(folder, told):
    net = FakeNetwork(refuses="links.jsonl cannot be written: Is a directory")
    with pytest.raises(HarnessError, match="Is a directory"), Recording(net, folder, FACTS, told.append):
        pass
    with Recording(net, folder, FACTS, told.append, required=False) as made:
        made.tick()
        made.end("finished")
    (note,) = folder.ending["notes"]
    assert note == "links.jsonl cannot be written: Is a directory; its record will be incomplete, and the run goes on"
    assert told == [f"{folder.path.name}: {note}"]


def test_a_disk_that_is_full_is_said_once_and_the_run_goes_on(lenient, net, folder, told, monkeypatch):
    with lenient:
        lenient.sink(0, "stdout", b"before")
        net.sampling.said = [f"{folder.path}/links.jsonl cannot be written: No space left on device"]
        lenient.tick()
        full = os.open("/dev/full", os.O_WRONLY)
        before = os.dup(lenient._logs[0]._file.fileno())
        os.dup2(full, lenient._logs[0]._file.fileno())
        lenient.sink(0, "stdout", b"lost")
        lenient.sink(0, "stdout", b"lost")
        os.dup2(before, lenient._logs[0]._file.fileno())
        for file in (full, before):
            os.close(file)
        lenient.sink(0, "stdout", b"after")
        lenient.end("finished")
    links, log = folder.ending["notes"]
    assert told == [f"{folder.path.name}: {links}"]
    assert log.startswith(f"{folder.path}/rank-0.log cannot be written: No space left on device; its record will be")
    assert (folder.path / "rank-0.log").read_text().endswith("before\nafter\n")


def test_a_folder_that_is_gone_is_said_once(net, tmp_path, told):
    folder = RunFolder(tmp_path / "file" / "x")
    (tmp_path / "file").write_text("no folder")
    with Recording(net, folder, FACTS, told.append, required=False) as made:
        made.sink(0, "stdout", b"lost")
        made.tick()
        made.end("finished")
    (line,) = told
    assert line.startswith(f"x: {folder.path}/run.json cannot be written: Not a directory")


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
