"""The user's files on their way to other machines."""

import os

import pytest

from harness.backends.docker.work_folder import LARGEST, MOST, inside, read_folder
from harness.errors import InputError


@pytest.fixture
def work(tmp_path):
    for name in ("train.py", "sub/deep.py", ".git/config", "__pycache__/train.pyc", "sub/run"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path / "sub/run").chmod(0o755)
    return tmp_path


def test_all_files_but_hidden_ones_and_caches(work):
    files, empty = read_folder(work)
    assert [(one.target, one.executable) for one in files] == [
        ("sub/deep.py", False),
        ("sub/run", True),
        ("train.py", False),
    ]
    assert [one.source for one in files] == [work / one.target for one in files]
    assert empty == []


def test_another_content_has_another_digest(work):
    before = {one.target: one.digest for one in read_folder(work)[0]}
    (work / "train.py").write_text("changed")
    after = {one.target: one.digest for one in read_folder(work)[0]}
    assert {name for name in before if before[name] != after[name]} == {"train.py"}


def test_an_empty_file_is_named_for_swarm_carries_none(work):
    (work / "sub/__init__.py").touch()
    files, empty = read_folder(work)
    assert empty == ["sub/__init__.py"]
    assert len(files) == 3


def test_a_link_to_a_folder_above_does_not_lead_round_and_round(work):
    (work / "sub/up").symlink_to(work)
    (work / "gone").symlink_to(work / "nowhere")
    os.mkfifo(work / "pipe")  # who reads it waits for ever
    assert len(read_folder(work)[0]) == 3


def test_what_is_too_large_or_too_many_is_refused(work):
    (work / "model.pt").write_bytes(bytes(LARGEST))
    assert len(read_folder(work)[0]) == 4
    (work / "model.pt").write_bytes(bytes(LARGEST + 1))
    with pytest.raises(InputError, match=r"model.pt has 512 kB.*up to 500 kB; build such into an image"):
        read_folder(work)
    (work / "model.pt").unlink()
    for number in range(MOST):
        (work / f"{number}.txt").write_text("x")
    with pytest.raises(InputError, match=f"over {MOST} files"):
        read_folder(work)


def test_what_is_no_folder_or_cannot_be_read_is_refused(work):
    with pytest.raises(InputError, match=r"'.*train.py' is not a folder"):
        read_folder(work / "train.py")
    if os.getuid():
        (work / "train.py").chmod(0)
        with pytest.raises(InputError, match=r"train.py cannot be read: Permission denied"):
            read_folder(work)


@pytest.mark.parametrize(
    ("text", "there"),
    [
        ("ring", "ring"),
        ("regions:aws", "regions:aws"),
        ("{}/sub/net.yaml", "./sub/net.yaml"),
        ("matrix:delay={}/d.csv,rate={}/sub/r.csv", "matrix:delay=./d.csv,rate=./sub/r.csv"),
        ("regions:{}/mine.yaml", "regions:./mine.yaml"),
    ],
)
def test_paths_become_those_that_a_node_has(work, text, there):
    assert inside("--topology", text.replace("{}", str(work)), work) == there


def test_a_file_that_nodes_do_not_get_is_refused(work, monkeypatch):
    with pytest.raises(InputError, match=r"--profile './mine.yaml' is a file: .*--work DIR"):
        inside("--profile", "./mine.yaml", None)
    monkeypatch.chdir(work)
    assert inside("--profile", "mine.yaml", work) == "./mine.yaml"
    with pytest.raises(InputError, match=r"'../mine.yaml' is not in the folder that nodes get, --work .*: copy it"):
        inside("--profile", "../mine.yaml", work)
