"""The files of a run: complete lines, also where the disk is full; clearing and resuming."""

import contextlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from harness.errors import HarnessError
from harness.run_files import Lines, RunFolder, append_json, read_json, write_json

ENDED = {"seconds": 1.0, "code": 0, "failed_rank": None, "last_lines": []}


def under_limit(size, code):
    """Run code in a process whose files may have that many bytes, in place of a disk that is full."""
    limit = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({size}, {size}))\n"
    done = subprocess.run([sys.executable, "-c", limit + code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_file_is_replaced_as_a_whole(tmp_path):
    path = tmp_path / "made" / "here.json"
    write_json(path, {"a": 1})
    write_json(path, {"b": [2]})
    assert read_json(path) == {"b": [2]}
    assert [one.name for one in path.parent.iterdir()] == ["here.json"]


def test_where_a_file_cannot_be_written_the_old_one_stays_and_nothing_else(tmp_path):
    path = tmp_path / "here.json"
    write_json(path, {"a": 1})
    told = under_limit(
        1000,
        "from pathlib import Path\nfrom harness.errors import HarnessError\nfrom harness.run_files import write_json\n"
        f"try:\n    write_json(Path({str(path)!r}), {{'long': 'x' * 5000}})\nexcept HarnessError as e:\n    print(e)\n",
    )
    assert told == f"{path} cannot be written: File too large\n"
    assert read_json(path) == {"a": 1}
    assert [one.name for one in tmp_path.iterdir()] == ["here.json"]


@pytest.mark.parametrize("left", [".here.json.part", "links.jsonl", "rank-0.log"])
def test_no_link_that_a_job_left_in_the_folder_is_followed(tmp_path, left):
    """Jobs in containers may write to the folder of their run, and we may be root."""
    mine, folder = tmp_path / "mine", tmp_path / "run"
    mine.write_text("dear to me")
    folder.mkdir()
    (folder / left).symlink_to(mine)
    write_json(folder / "here.json", {"a": 1})
    for write in (lambda: append_json(folder / "links.jsonl", {"b": 2}), lambda: RunFolder(folder).log(0).write(b"c")):
        with contextlib.suppress(HarnessError):
            write()
    assert mine.read_text() == "dear to me"
    assert read_json(folder / "here.json") == {"a": 1}


@pytest.mark.parametrize("content", [None, b"", b'{"half', b"[1]", b"\xff"])
def test_damaged_json_reads_as_none(tmp_path, content):
    path = tmp_path / "x.json"
    if content is not None:
        path.write_bytes(content)
    assert read_json(path) is None


def test_several_writers_can_add_lines(tmp_path):
    path = tmp_path / "links.jsonl"
    append_json(path, {"a": 1})
    with Lines(path) as one, Lines(path) as other:
        one.write(b"one")
        other.write(b"other")
        one.write(b"")
    assert path.read_bytes() == b'{"a":1}\none\nother\n\n'


def test_a_partial_line_is_ended_first(tmp_path):
    path = tmp_path / "links.jsonl"
    path.write_text('{"whole": 1}\n{"hal')
    append_json(path, {"b": 2})
    assert path.read_text() == '{"whole": 1}\n{"hal\n{"b":2}\n'


def test_a_line_that_does_not_fit_on_the_disk_leaves_nothing(tmp_path):
    path = tmp_path / "links.jsonl"
    append_json(path, {"a": 1})
    told = under_limit(
        30,
        "from pathlib import Path\nfrom harness.errors import HarnessError\nfrom harness.run_files import Lines\n"
        f"lines = Lines(Path({str(path)!r}))\nlines.write(b'12345')\n"
        "try:\n    lines.write(b'y' * 100)\nexcept HarnessError as e:\n    print(e)\n"
        "lines.write(b'6')\nlines.close()\n",
    )
    assert told == f"{path} cannot be written: File too large\n"
    assert path.read_text() == '{"a":1}\n12345\n6\n'


def test_a_full_disk_is_reported_with_the_file():
    with Lines(Path("/dev/full")) as lines, pytest.raises(HarnessError) as error:
        lines.write(b"x")
    assert str(error.value) == "/dev/full cannot be written: No space left on device"


def test_a_file_that_cannot_be_opened(tmp_path):
    with pytest.raises(HarnessError, match=r"none/rank-0\.log cannot be written: No such file"):
        RunFolder(tmp_path / "none").log(0)


@pytest.fixture
def folder(tmp_path):
    made = RunFolder(tmp_path / "experiment" / "run")
    made.make(shared=False)
    return made


def save_state(folder):
    (folder.path / "checkpoints").mkdir()
    (folder.path / "checkpoints" / "rank-0-step-5.pt").write_bytes(b"state")


def test_a_new_attempt_has_not_ended(folder):
    folder.begin({"attempt": 1})
    assert (folder.facts, folder.ending) == ({"attempt": 1}, None)
    folder.end("failed", **ENDED)
    assert folder.ending == {"status": "failed", "time": folder.ending["time"], **ENDED}
    folder.begin({"attempt": 2})
    assert (folder.facts, folder.ending) == ({"attempt": 2}, None)


@pytest.mark.parametrize(
    ("status", "goes_on"), [(None, True), ("stopped", True), ("failed", False), ("limit", False), ("finished", False)]
)
def test_a_run_goes_on_where_it_was_stopped_or_cut_off(folder, status, goes_on):
    assert not folder.can_go_on
    folder.begin({"attempt": 1})
    if status:
        folder.end(status, **ENDED)
    assert not folder.can_go_on, "nothing is saved yet"
    save_state(folder)
    assert folder.can_go_on == goes_on


def test_clear_removes_measurements_and_keeps_output(folder):
    folder.begin({"attempt": 1})
    sampled = ("links.jsonl", "links-3.jsonl", "flows.jsonl", "flows-3.jsonl")
    for name in (*sampled, "rank-0.jsonl", "rank-12.jsonl", "changes.jsonl", "rank-0.log"):
        (folder.path / name).write_text("something\n")
    save_state(folder)
    folder.end("failed", **ENDED)
    folder.clear()
    assert sorted(path.name for path in folder.path.iterdir()) == ["rank-0.log", "run.json"]
    folder.clear()


def test_the_last_lines_of_a_rank(folder):
    with folder.log(1) as log:
        for number in range(20):
            log.write(f"line {number}".encode())
        log.write(b"\xff broken")
    assert folder.last_lines(1, 2) == ["line 19", "� broken"]
    assert folder.last_lines(7, 2) == []


def test_the_last_lines_of_an_attempt_are_of_no_earlier_one(folder):
    with folder.log(1) as log:
        log.write(b"KeyError: of the first attempt")
    again = RunFolder(folder.path)
    again.log(1, attempt=2).close()
    assert again.last_lines(1, 10) == []
    with again.log(1, attempt=3) as log:
        log.write(b"ValueError: of the third")
    assert again.last_lines(1, 10) == ["ValueError: of the third"]
    assert (folder.path / "rank-1.log").read_text().splitlines() == [
        "KeyError: of the first attempt",
        "--- attempt 2 ---",
        "--- attempt 3 ---",
        "ValueError: of the third",
    ]


def test_a_shared_folder_is_everybodys_to_write_to_and_nobody_elses_to_remove(folder):
    folder.make(shared=True)
    assert folder.path.stat().st_mode & 0o7777 == 0o1777


def test_a_folder_that_cannot_be_made():
    with pytest.raises(HarnessError, match=r"/proc/x/run cannot be made: "):
        RunFolder(Path("/proc/x/run")).make(shared=False)


def test_reshapes_have_a_file_of_their_own(folder):
    folder.change({"asked": 2.5})
    assert json.loads((folder.path / "changes.jsonl").read_text()) == {"asked": 2.5}
