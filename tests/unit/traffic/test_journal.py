"""traffic.jsonl: in every run that is recorded while a load lasts."""

import json

import pytest

from harness.networks.registry import LocalRegistry
from harness.traffic.journal import TrafficJournal
from harness.traffic.load_file import Load
from harness.traffic.spec import TrafficSpec, parse_spec
from harness.traffic.totals import Totals
from tests.support.plans import network

SPEC = parse_spec("0-2", rate="1mbit", seconds=30)


def load(seconds, received, ended=""):
    return Load(1, 5.0, SPEC, 100.0, totals=Totals(seconds, received + 9, received, 1), ended=ended)


def lines(folder):
    return [json.loads(line) for line in (folder / "traffic.jsonl").read_text().splitlines()]


@pytest.fixture
def registry(tmp_path):
    registry = LocalRegistry(tmp_path / "state")
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
    return registry


def test_each_run_has_its_own_beginning_and_only_the_last_an_end(registry, tmp_path):
    journal = TrafficJournal(registry, "net", network("line", 3), 4000)
    journal.sample(load(1.0, 1000))
    for name, seconds in (("first", 2.0), ("second", 4.0)):
        registry.record_in("net", tmp_path / name, 5.0)
        journal.sample(load(seconds, 1000))
        journal.sample(load(seconds + 1, 2000))
    journal.stop(load(6.0, 3000, "stopped"))
    assert [line["kind"] for line in lines(tmp_path / "first")] == ["start", "sample", "sample"]
    second = lines(tmp_path / "second")
    assert [line["kind"] for line in second] == ["start", "sample", "sample", "stop"]
    assert [line["time"] for line in second] == [104.0, 104.0, 105.0, 106.0]
    assert (second[0]["path"], second[0]["port"]) == ([[0, 1], [1, 2]], 4000)
    assert TrafficSpec.from_json(second[0]) == SPEC
    assert (second[-1]["ended"], second[-1]["received_bytes"], second[-1]["lost_packets"]) == ("stopped", 3000, 1)


def test_nothing_is_written_where_another_network_is_recorded_or_the_folder_is_gone(registry, tmp_path):
    journal = TrafficJournal(registry, "net", network("line", 3), 4000)
    registry.record_in("net", tmp_path / "first", 6.0)
    journal.sample(load(1.0, 1000))
    assert not (tmp_path / "first" / "traffic.jsonl").exists()
    registry.record_in("net", tmp_path / "removed", 5.0)
    journal.sample(load(2.0, 1000))
    journal.stop(load(3.0, 1000, "stopped"))
    assert not (tmp_path / "removed").exists()
