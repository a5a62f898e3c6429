"""The record of a network that a Python program starts, with local processes as nodes."""

import json
import os
import sys

import pytest

import harness
from harness.api.failures import HarnessWarning, RankError
from harness.api.record import NetworkRecord, program_name
from harness.api.shaped import ShapedNetwork
from harness.errors import InputError
from harness.networks.backends import NETNS
from harness.run_files import RunFolder
from tests.support.fakes import FakeNetwork
from tests.unit.api.test_program import LocalBackend


class Nodes(LocalBackend):
    """Local processes, on a network that can be sampled."""

    name, python = NETNS, sys.executable

    def __init__(self, network):
        super().__init__()
        self.sample = network.backend.sample


@pytest.fixture
def network():
    made = FakeNetwork()
    made.backend = Nodes(made)
    made.name, made.down = "local", lambda: None
    return made


@pytest.fixture
def folder(tmp_path):
    return RunFolder(tmp_path)


@pytest.fixture
def net(network, folder):
    return ShapedNetwork(network, NetworkRecord(network, folder, "cubic"))


def log(value):
    import harness

    print("here", flush=True)
    harness.log(step=1, loss=value)


def fail():
    os._exit(3)


def test_output_and_logged_values_of_a_function_are_recorded(net, folder, network):
    with net:
        assert net.run(log, 0.5) == [None, None]
        assert net.run_folder == folder.path
        assert folder.ending is None
    assert (folder.path / "rank-1.log").read_text() == "here\n"
    assert [json.loads((folder.path / f"rank-{rank}.jsonl").read_text())["values"] for rank in (0, 1)] == [
        {"loss": 0.5},
        {"loss": 0.5},
    ]
    assert (folder.facts["nodes"], folder.facts["label"]) == (2, program_name())
    assert folder.facts["command"][0] == sys.orig_argv[0]
    assert (folder.ending["status"], folder.ending["codes"]) == ("finished", {"0": 0, "1": 0})
    assert network.sampling.events == ["stop sampling"]


def test_the_first_failed_job_is_the_end_of_the_record(net, folder):
    with net:
        with pytest.raises(RankError):
            net.run(fail, ranks=[1])
        net.exec(["true"])
    assert (folder.ending["status"], folder.ending["failed_rank"], folder.ending["code"]) == ("failed", 1, 3)


def test_a_job_that_was_stopped_does_not_count(net, folder):
    with net:
        call = net.start(log, 0.5)
        call.stop()
    assert folder.ending["status"] == "finished"


@pytest.mark.parametrize(
    ("error", "status", "code"), [(KeyboardInterrupt(), "stopped", 130), (ValueError("no"), "failed", 1)]
)
def test_the_exception_of_the_block_is_the_end_of_the_record(net, folder, error, status, code):
    with pytest.raises(type(error)), net:
        raise error
    assert (folder.ending["status"], folder.ending["code"]) == (status, code)
    assert folder.ending["last_lines"] == (["ValueError: no"] if status == "failed" else [])


def test_the_end_is_written_once(net, folder, network):
    net.down()
    before = folder.ending
    net.down()
    assert folder.ending == before


def test_what_could_not_be_recorded_is_a_warning_at_the_end(folder, network):
    network.backend.sample = FakeNetwork(refuses="no sockets here").backend.sample
    net = ShapedNetwork(network, NetworkRecord(network, folder, "cubic"))
    net.run(log, 0.5)
    with pytest.warns(HarnessWarning, match="no sockets here"):
        net.down()
    assert folder.ending["status"] == "finished"


def test_nothing_is_recorded_unless_asked(network):
    with ShapedNetwork(network) as net:
        assert net.run_folder is None
        assert net.exec(["sh", "-c", "echo $HARNESS_RUN_DIR"])[0].stdout == "\n"


@pytest.mark.parametrize(
    ("argv", "name"),
    [("/x/train.py", "train"), ("/x/pytest/__main__.py", "pytest"), ("", "python"), ("-c", "-c")],
)
def test_a_program_has_the_name_of_its_script(monkeypatch, argv, name):
    monkeypatch.setattr(sys, "argv", [argv])
    assert program_name() == name


def test_where_nothing_can_be_recorded_nothing_is_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="Not a directory; record in another folder"):
        harness.network(2, record=tmp_path / "file")
    with pytest.raises(InputError, match="record=3: write True, or a folder"):
        harness.network(2, record=3)
    with pytest.raises(InputError, match="has its folder at /runs in containers"):
        harness.network(2, runtime="docker", volumes=["/tmp:/runs"], record=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_without_a_network_no_folder_stays(tmp_path, monkeypatch):
    from harness.api import start

    def refuse(*_):
        raise harness.HarnessError("no namespaces here")

    monkeypatch.setattr(start, "_start", refuse)
    with pytest.raises(harness.HarnessError, match="no namespaces here"):
        harness.network(2, record=tmp_path)
    assert list(tmp_path.iterdir()) == []
