"""Frames between proxy and wrapper, and Docker's own around them: whole again wherever the stream was cut."""

import ast
import itertools
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.backends.docker.exec import shim
from harness.backends.docker.exec.client import client_command
from harness.backends.docker.exec.shim import Frames, frame
from harness.backends.docker.exec.streams import Demultiplexer

payloads = st.lists(st.binary(max_size=300), max_size=6)


def cut(data, places):
    places = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(places)]


@given(payloads, st.lists(st.integers(0, 5000), max_size=20))
def test_frames_are_whole_again(contents, places):
    frames = Frames()
    stream = b"".join(frame(b"d", content) for content in contents)
    got = [pair for piece in cut(stream, places) for pair in frames.feed(piece)]
    assert got == [(b"d", content) for content in contents]


def test_a_stream_that_holds_no_frames_is_refused():
    with pytest.raises(ValueError, match="OCI runtime"):
        Frames().feed(b"OCI runtime exec failed")


@given(payloads, st.lists(st.integers(0, 5000), max_size=20))
def test_docker_streams_are_told_apart(contents, places):
    streams = [1 + index % 2 for index in range(len(contents))]
    pairs = list(zip(streams, contents, strict=True))
    data = b"".join(struct.pack(">BxxxL", stream, len(content)) + content for stream, content in pairs)
    docker, got = Demultiplexer(), {1: b"", 2: b""}
    for piece in cut(data, places):
        for stream, content in docker.feed(piece):
            got[stream] += content
    assert got == {wanted: b"".join(content for stream, content in pairs if stream == wanted) for wanted in (1, 2)}


def test_the_wrapper_is_python_3_8():
    ast.parse(Path(shim.__file__).read_text(), feature_version=(3, 8))


def test_no_variable_of_the_program_stands_among_the_arguments(monkeypatch):
    monkeypatch.setenv("HARNESS_PROGRAM_OLD", "1")
    argv, env = client_command("c0ffee", ["echo", "-n"], {"TOKEN": "secret"}, cwd="/work")
    assert argv[-7:] == ["c0ffee", "", "container c0ffee", "1000:1000", "/work", "echo", "-n"]
    assert not any("secret" in word for word in argv)
    assert env["HARNESS_PROGRAM_TOKEN"] == "secret"
    assert "HARNESS_PROGRAM_OLD" not in env
