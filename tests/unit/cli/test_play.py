"""``harness play --dry-run``: what would happen when, without a network."""

import json

import pytest

from tests.unit.cli.test_main import harness

EVENTS = "events:\n  - {every: 30s, for: 2s, down: {edge: 1-2}}\n  - {at: 45s, set: {edge: 0-1, delay: 80ms}}\n"


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "s.yaml"
    path.write_text(EVENTS)
    return path


def test_the_agenda(file):
    shown = harness("play", str(file), "--dry-run").stdout.splitlines()
    assert [line.split() for line in shown[2:5]] == [
        ["30.000", "s", "down", "1-2"],
        ["32.000", "s", "down", "1-2:", "over"],
        ["45.000", "s", "set", "0-1", "delay", "80ms"],
    ]
    assert "the first 50 changes of a scenario that has no end" in shown[-1]


def test_as_json(file):
    file.write_text("until: 40s\n" + EVENTS)
    assert json.loads(harness("play", str(file), "--dry-run", "--json").stdout) == [
        {"at": 30.0, "event": 0, "text": "down 1-2"},
        {"at": 32.0, "event": 0, "text": "down 1-2: over"},
    ]


def test_without_a_network_or_with_a_wrong_file_it_is_one_line(file):
    done = harness("play", str(file), "--name", "nobody")
    assert (done.returncode, done.stderr.count("\n")) == (3, 1)
    file.write_text("events: []\n")
    done = harness("play", str(file))
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "s.yaml:1: events: there is no event" in done.stderr
