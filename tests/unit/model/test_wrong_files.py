"""A file of another kind, or none at all, is refused at once and in one short line, wherever a file can be named."""

import os
import socket
import time

import pytest

from harness.errors import MOST_QUOTED, InputError, quoted
from harness.experiment.spec_file import load_experiment
from harness.model.profile_file import load_profile
from harness.model.topology_names import build_topology

MANY = 20_000
CONTENTS = {
    "a mahimahi trace": "\n".join(str(number // 3) for number in range(MANY)),
    "XML": "<?xml version='1.0'?>\n<graphml>" + "<node id='n0'/>\n" * MANY + "</graphml>",
    "GML": "graph [\n" + "  node [ id 0 label x ]\n" * MANY + "]",
    "JSON": '{"nodes": [' + ", ".join(["12"] * MANY) + "]}",
    "JSON, a text": '"' + "x" * MANY + '"',
    "CSV": "\n".join(",".join(["nonsense" * 20] * 30) for _ in range(30)),
    "CSV, one long cell": "x" * MANY,
    "CSV, no end of a quotation": '"' + "x,\n" * MANY,
    "a long key": "x" * MANY + ": 1",
    "a long value of a known key": "delay: " + "9" * MANY,
    "a long value of nodes": "nodes: " + "9" * MANY + "\nedges: []",
    "a long list where a text is": "description: [" + ", ".join(["12"] * 999) + "]",
    "a long tag": "!" + "x" * 900 + " 1\n1,1,1",
    "a long alias": "a: *" + "x" * MANY,
    "a long anchor twice": "a: &" + "x" * 900 + " 1\nb: &" + "x" * 900 + " 2",
    "a truth value that is none": "delay: !!bool " + "x" * MANY,
    "a rate in bps": "rate: " + "9" * MANY + "kbps",
    "binary": "\0" * MANY,
}
READERS = {
    "profile": lambda path: load_profile(f"{path}.yaml"),
    "topology": lambda path: build_topology(f"{path}.yaml"),
    "delay matrix": lambda path: build_topology(f"matrix:delay={path}.yaml"),
    "experiment": lambda path: load_experiment(path.with_suffix(".yaml")),
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("content", CONTENTS)
def test_no_message_prints_a_file_back(tmp_path, content, reader):
    (tmp_path / "mine.yaml").write_text(CONTENTS[content])
    with pytest.raises(InputError) as caught:
        READERS[reader](tmp_path / "mine")
    text = str(caught.value).replace(str(tmp_path), "")
    assert "\n" not in text
    assert len(text) < 420
    assert max(len(word.strip(":;,")) for word in text.split()) <= MOST_QUOTED


def a_fifo(path):
    os.mkfifo(path)


def a_socket(path):
    socket.socket(socket.AF_UNIX).bind(str(path))


def a_directory(path):
    path.mkdir()


def a_device(path):
    path.symlink_to("/dev/zero")


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("make", [a_fifo, a_socket, a_directory, a_device])
def test_what_is_no_file_is_refused_at_once(tmp_path, monkeypatch, make, reader):
    monkeypatch.chdir(tmp_path)  # a socket's path is short
    make(tmp_path / "mine.yaml")
    started, files = time.monotonic(), len(os.listdir("/proc/self/fd"))
    with pytest.raises(InputError) as caught:
        READERS[reader](tmp_path / "mine")
    assert len(os.listdir("/proc/self/fd")) == files
    assert time.monotonic() - started < 1
    assert str(tmp_path / "mine.yaml") in str(caught.value)
    kind = make.__name__.replace("_", " ").replace("fifo", "FIFO")
    assert make is a_socket or f"{kind}, not a file" in str(caught.value)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("short", "'short'"),
        ("it's", '"it\'s"'),
        ("x" * 100, "'" + "x" * 95 + "...'"),
        ("\n" * 90, "'" + "\\n" * 47 + "\\...'"),
        ([1] * 90, "[" + "1, " * 31 + "1,..."),
    ],
)
def test_quotes(value, text):
    assert len(quoted(value)) <= MOST_QUOTED
    assert quoted(value)[:20] == text[:20]
    assert quoted(value)[-4:] == text[-4:] or value[0] == 1
