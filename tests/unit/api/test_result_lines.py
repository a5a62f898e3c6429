"""An answer is sent among the lines that a function prints."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.api.result_lines import ResultReader, pieces

MARKER = b"0123456789abcdef0123456789abcdef"
PIPE_BUF = 4096


def sorted_out(output):
    """The user's lines and the answer, of one rank's whole output."""
    sorter, lines = ResultReader(MARKER), []
    *whole, rest = output.split(b"\n")
    for line in [*whole, *([rest] if rest else [])]:
        lines += sorter.feed(line)
    return [*lines, *sorter.end()], sorter.answer


@given(st.binary(max_size=20_000))
def test_every_answer_arrives(data):
    assert sorted_out(b"".join(pieces(MARKER, data))) == ([], data)


@pytest.mark.parametrize("size", [0, 1, 2900, 2901, 5800, 100_000])
def test_every_write_is_atomic(size):
    written = list(pieces(MARKER, bytes(size)))
    assert max(map(len, written)) <= PIPE_BUF
    assert sorted_out(b"".join(written)) == ([], bytes(size))


@pytest.mark.parametrize("before", [b"", b"line\n", b"no end", b"\n", b"a\n\n", b"a\n\nb", b"\n\n\n"])
@pytest.mark.parametrize("after", [b"", b"later\n", b"\nlater\n"])
def test_the_users_lines_stay_as_they_were(before, after):
    expected = [*before.removesuffix(b"\n").split(b"\n")] if before else []
    expected += after.removesuffix(b"\n").split(b"\n") if after else []
    assert sorted_out(before + b"".join(pieces(MARKER, b"x" * 7000)) + after) == (expected, b"x" * 7000)


def test_other_writers_between_pieces_do_not_damage_an_answer():
    first, second, third = pieces(MARKER, b"y" * 8000)
    output = b"a" + first + b"thread\nthre" + second + b"ad\n" + third
    assert sorted_out(output) == ([b"a", b"thread", b"thre", b"ad"], b"y" * 8000)


def test_an_incomplete_answer_is_none():
    first, _, _ = pieces(MARKER, b"y" * 8000)
    assert sorted_out(first) == ([], None)
