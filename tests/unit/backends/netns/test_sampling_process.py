"""The process that samples, as who started it sees it; small programs stand for it."""

import os
import time
from pathlib import Path

import pytest

from harness.backends.netns import sampling_process as module
from harness.backends.netns.sampling_process import SamplingProcess
from harness.errors import HarnessError

READY = """
import json, os, sys, time
order = json.loads(sys.stdin.buffer.readline())
print('{"ready": true}', flush=True)
"""


@pytest.fixture
def started(tmp_path, monkeypatch):
    """Starts this program instead."""
    made = []

    def start(text):
        program = tmp_path / "program.py"
        program.write_text(text)
        monkeypatch.setattr(module, "_PROGRAM", program)
        made.append(SamplingProcess({"folder": "somewhere"}))
        return made[-1]

    yield start
    for one in made:
        one.stop()


def children():
    """The process ids of this process's children, zombies too; other tests' may be among them."""
    return set(Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())


def test_messages_come_whole_and_once_and_the_last_ones_with_the_end(started):
    process = started(
        READY
        + 'os.write(1, b\'{"say": "a"}\\n{"say": "b\')\nsys.stdin.read()\n'
        + "os.write(1, b'\"}\\n' + json.dumps({'say': order['folder']}).encode() + b'\\n')\n"
    )
    seen = []
    while not seen:
        seen = process.messages()
        time.sleep(0.01)
    assert seen == ["a"]
    assert process.messages() == []
    assert process.stop() == ["b", "somewhere"]
    assert process.stop() == []
    assert process._process.returncode == 0


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "its process ended at once"),
        ('print(\'{"error": "node 3 is gone"}\')', "node 3 is gone"),
    ],
)
def test_what_cannot_sample_says_why_and_is_gone(started, text, why):
    before = children()
    with pytest.raises(HarnessError, match=f"links and flows cannot be recorded: {why}"):
        started(text)
    assert children() <= before


def test_one_that_does_not_end_is_killed(started, monkeypatch):
    monkeypatch.setattr(module, "_END_SECONDS", 0.2)
    process = started(READY + "time.sleep(100)")
    assert process.stop() == []
    assert process._process.returncode == -9


def test_one_that_ends_by_itself_leaves_its_messages(started):
    process = started(READY + """print('{"say": "the end"}', flush=True)""")
    process._process.wait(10)
    assert process.messages() == ["the end"]
    assert process.stop() == []


def test_a_message_that_comes_with_the_first_line_is_not_lost(started):
    at_once = READY.replace("""'{"ready": true}'""", """'{"ready": true}\\n{"say": "at once"}'""")
    process = started(at_once + "time.sleep(100)")
    assert process.messages() == ["at once"]
    process._process.kill()
