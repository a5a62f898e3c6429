"""Lines are whole, whatever the pieces in which they come; the last one needs no newline."""

import pytest

from harness.linux import line_splitter
from harness.linux.line_splitter import LineSplitter


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_pieces_do_not_matter(size):
    text, splitter = b"one\n\ntwo three\nfour", LineSplitter()
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    assert [line for piece in pieces for line in splitter.feed(piece)] == [b"one", b"", b"two three"]
    assert splitter.end() == [b"four"]
    assert splitter.end() == []


def test_a_line_without_end_comes_in_pieces(monkeypatch):
    monkeypatch.setattr(line_splitter, "LONGEST", 10)
    splitter = LineSplitter()
    assert splitter.feed(b"a\n" + b"x" * 8) == [b"a"]
    assert splitter.feed(b"yyy") == [b"xxxxxxxxyyy"]
    assert splitter.feed(b"z\n") == [b"z"]
    assert splitter.end() == []
