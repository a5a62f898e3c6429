"""The traffic of verify in the counters of links."""

from harness.model.status import Stats
from harness.networks.probe_counts import add, difference, load

FIRST, SECOND = Stats(100, 10_000, 7, backlog_bytes=5), Stats(250, 30_000, 9, backlog_packets=1)


def test_the_difference_of_two_readings_has_no_backlog():
    assert difference({(0, 1): FIRST, (1, 0): FIRST}, {(0, 1): SECOND}) == {(0, 1): Stats(150, 20_000, 2)}


def test_counts_add_up(tmp_path):
    path = tmp_path / "net.probes"
    assert load(path, 1.0) == {}
    add(path, 1.0, {(0, 1): Stats(1, 2, 3)})
    add(path, 1.0, {(0, 1): Stats(10, 20, 30), (1, 0): Stats(5)})
    assert load(path, 1.0) == {(0, 1): Stats(11, 22, 33), (1, 0): Stats(5)}


def test_counts_of_an_earlier_network_of_that_name_are_forgotten(tmp_path):
    path = tmp_path / "net.probes"
    add(path, 1.0, {(0, 1): Stats(1, 2, 3)})
    assert load(path, 2.0) == {}
    add(path, 2.0, {(0, 1): Stats(4)})
    assert load(path, 2.0) == {(0, 1): Stats(4)}


def test_a_damaged_file_counts_nothing(tmp_path):
    path = tmp_path / "net.probes"
    for text in ("", "[]", '{"created": 1.0}', '{"created": 1.0, "edges": [[0, 1, {"what": 1}]]}'):
        path.write_text(text)
        assert load(path, 1.0) == {}
