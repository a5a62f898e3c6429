"""Which files of a run folder are sent, and which names are accepted."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.agent.result_files import ResultFile, chosen, result_files, safe_name


@pytest.mark.parametrize(
    "name",
    [
        *(
            "/etc/passwd",
            "../run.json",
            "a/../../b",
            "a/./b",
            "a//b",
            "",
            ".",
            "..",
            "a/",
            "/",
            "/".join("abcdefghijklmnopq"),
        ),
        *(".hidden", "checkpoints/.x.part", "a\\b", "a\nb", "a\0b", "x" * 5000, 7, None, ["a"]),
    ],
)
def test_a_name_that_leads_out_of_the_folder_or_hides_is_refused(name):
    assert safe_name(name) is None


@given(st.text(max_size=30))
def test_whatever_is_taken_stays_within_the_folder(name):
    if (found := safe_name(name)) is not None:
        assert os.path.normpath(f"/runs/run/{found}").startswith("/runs/run/")
        assert str(found) == name


def test_the_smallest_are_sent_first_and_what_exceeds_the_most_is_left_out():
    records, first, second = ResultFile("links-1.jsonl", 10), ResultFile("a.pt", 60), ResultFile("b.pt", 60)
    assert chosen([second, first, records], 100) == ([records, first], [second])


def test_only_whole_plain_files_count(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "rank-1-step-5.pt").write_bytes(b"12345")
    (tmp_path / ".links-1.jsonl.part").write_bytes(b"1")
    (tmp_path / "link").symlink_to("/etc/passwd")
    os.mkfifo(tmp_path / "pipe")
    assert result_files(tmp_path) == ([ResultFile("checkpoints/rank-1-step-5.pt", 5)], [])


def test_a_file_deep_in_folders_travels_and_one_whose_name_is_not_taken_is_named(tmp_path):
    deep = tmp_path / "lightning/logs/version_0/checkpoints/epoch=1/x.pt"
    deep.parent.mkdir(parents=True)
    deep.touch()
    (tmp_path / "a\nb").touch()
    assert result_files(tmp_path) == ([ResultFile(str(deep.relative_to(tmp_path)), 0)], [r"'a\nb'"])
