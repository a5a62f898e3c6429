"""The files by which commands know of loads."""

import os

import pytest

from harness.backends.netns.namespaces import start_time
from harness.errors import InputError
from harness.networks.registry import LocalRegistry
from harness.traffic import load_file, manager
from harness.traffic.load_file import Load
from harness.traffic.spec import parse_spec
from harness.traffic.totals import Totals

SPEC = parse_spec("0-1", rate="1mbit", seconds=9)


@pytest.fixture
def local(tmp_path):
    return LocalRegistry(tmp_path / "state")


def written(registry, network="net", **changes):
    """A load of a process that runs: this one."""
    number, path = load_file.reserve(registry.load_folder(), network)
    own = {"pid": os.getpid(), "start": start_time(os.getpid())}
    load = Load(number, 5.0, SPEC, 1.0, **{**own, "totals": Totals(2.0, 300, 200, 1), **changes})
    load_file.write(path, load)
    return load


def test_what_is_written_is_found(local):
    first, second = written(local), written(local)
    assert [first.id, second.id] == [1, 2]
    assert manager.loads(local, "net", 5.0) == [first, second]


def test_a_network_whose_name_begins_the_same_has_its_own(local):
    written(local, "net.1")
    written(local, "net.1.1")
    assert manager.loads(local, "net", 5.0) == []
    assert local.names() == []


def test_a_load_of_an_older_network_or_of_a_killed_process_is_forgotten(local):
    written(local, pid=os.getpid(), start=1)
    assert manager.loads(local, "net", 5.0) == []
    written(local)
    assert manager.loads(local, "net", 6.0) == []
    assert list(load_file.files(local.load_folder(), "net")) == []


def test_one_that_has_ended_is_shown_until_it_is_stopped(local):
    load = written(local, pid=1, start=1, ended="its time is over")
    assert manager.loads(local, "net", 5.0) == [load]
    assert manager.stop(local, "net", 5.0) == [load]
    assert manager.loads(local, "net", 5.0) == []


def test_nothing_is_written_where_the_network_was_removed(local):
    load = written(local)
    local.remove("net")
    path = local.load_folder() / f"net.{load.id}.traffic"
    assert not path.exists()
    load_file.write(path, load)
    assert not path.exists()


def test_a_number_that_is_not_there_is_named(local):
    load = written(local)
    manager.require_ids([load], [1])
    with pytest.raises(InputError, match="no traffic 4 in this network; it has 1"):
        manager.require_ids([load], [4])
    with pytest.raises(InputError, match="it has none"):
        manager.require_ids([], [1])
