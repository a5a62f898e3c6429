"""The file that says which ranks are away, and what follows from its lines."""

import json

from harness.networks.away import OVERDUE_S, Absences, AwayFile, AwayLine


def kill(rank, at=0.0, until=None):
    return AwayLine(at, rank, "kill", until)


def back(rank, at=0.0, of="kill"):
    return AwayLine(at, rank, "back", of=of)


def test_a_reader_gets_each_whole_line_once_and_none_from_before(tmp_path):
    path = tmp_path / "net.away"
    AwayFile(path).write(kill(1))
    reader, writer = AwayFile(path), AwayFile(path)
    assert reader.news() == []
    writer.write(kill(2, until=5.0))
    writer.write(back(2))
    assert reader.news() == [kill(2, until=5.0), back(2)]
    with path.open("a") as file:
        file.write('{"time": 3, "rank": 1,')
        file.flush()
        assert reader.news() == []
        file.write(' "what": "pause", "until": null}\n')
    assert reader.news() == [AwayLine(3, 1, "pause")]


def test_without_a_file_no_rank_is_away(tmp_path):
    assert AwayFile(tmp_path / "net.away").news() == []


def test_a_recorded_run_gets_the_lines_too(tmp_path):
    AwayFile(tmp_path / "net.away", lambda: tmp_path).write(kill(2, 1.5, 9.0))
    (line,) = (tmp_path / "away.jsonl").read_text().splitlines()
    assert json.loads(line) == {"time": 1.5, "rank": 2, "what": "kill", "until": 9.0}


def test_a_rank_that_was_killed_is_due_when_it_is_back():
    absences = Absences()
    assert absences.take([kill(2), AwayLine(0.0, 1, "pause"), back(1, of="pause")], 1000.0) == {2}
    assert not absences.due
    absences.take([back(2)], 1000.0)
    assert absences.due == {2}
    absences.take([kill(2)], 1000.0)  # again, before it was started
    assert not absences.due
    absences.take([back(2, of="cut"), back(3)], 1000.0)
    assert not absences.due


def test_a_rank_is_expected_until_its_time_is_long_over():
    absences = Absences()
    absences.take([kill(1)], 1000.0)
    assert not absences.expects(1000.0)
    absences.take([kill(2, until=50.0)], 1000.0)  # a line of another clock says for how long
    assert absences.expects(1050.0 + OVERDUE_S - 1)
    assert not absences.expects(1050.0 + OVERDUE_S + 1)
    absences.take([back(1)], 1000.0)
    assert absences.expects(2000.0)
    absences.forget(1)
    assert not absences.expects(2000.0)
