"""``status`` where standard error is no terminal."""

import time

import pytest

from harness.cli import output


@pytest.fixture
def printed(monkeypatch, capsys):
    """Waits until so many lines were printed, with pauses of a millisecond between them, and returns them."""
    monkeypatch.setattr(output, "_SILENT_SECONDS", 0.001)
    monkeypatch.setattr(output, "_BETWEEN_SECONDS", 0.001)
    lines = []

    def wait(number):
        deadline = time.monotonic() + 20
        while len(lines) < number and time.monotonic() < deadline:
            time.sleep(0.001)
            lines.extend(capsys.readouterr().err.splitlines())
        return lines

    return wait


def test_what_takes_long_is_said_once_and_again_where_it_is_something_else(printed):
    with output.status("reading records") as show:
        assert printed(1) == ["harness: reading records"]
        time.sleep(0.01)
        show("making html")
        assert printed(2) == ["harness: reading records", "harness: making html"]


def test_what_takes_no_time_is_not_said(capsys):
    with output.status("starting network 'default'"):
        pass
    assert capsys.readouterr().err == ""


def test_nothing_is_said_after_an_error(printed, capsys):
    with pytest.raises(OSError), output.status("starting"):
        raise OSError
    capsys.readouterr()
    time.sleep(0.01)
    assert capsys.readouterr().err == ""
