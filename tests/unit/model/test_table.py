"""harness.model.table: nothing is cut or broken that must be copied, whatever the width."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.model.table import Column, Styled, Table

WORDS = st.text(alphabet="abc12/-", min_size=1, max_size=12)
CELLS = st.tuples(WORDS, WORDS, st.lists(WORDS, max_size=9).map(" ".join), st.lists(WORDS, max_size=5).map(", ".join))
COLUMNS = (Column("name"), Column("rate", right=True), Column("words", breaks=" "), Column("list", breaks=", "))


def made(*rows, columns=COLUMNS, title="Title"):
    table = Table(title, columns)
    for row in rows:
        table.add_row(*row)
    return table


def test_wide_enough():
    table = made(("a", "1", "", "x, y"), ("long", "10", "two words", ""))
    assert table.lines(None) == [
        "Title",
        "name  rate  words      list",
        "a        1             x, y",
        "long    10  two words",
    ]
    assert table.lines(80) == table.lines(None)


def test_prose_gives_way_between_words_and_lists_after_commas():
    table = made(("name", "1", "some words that are long", "rate 1 Mbit/s, delay 2 ms"))
    assert table.lines(45) == [
        "Title",
        "name  rate  words            list",
        "name     1  some words that  rate 1 Mbit/s,",
        "            are long         delay 2 ms",
    ]


def test_optional_columns_are_left_out_the_last_first_and_said():
    columns = [Column("a"), Column("b", optional=True), Column("c", optional=True), Column("d")]
    table = made(("1" * 10,) * 4, columns=columns)
    assert table.lines(36)[1:3] == ["a           b           d", "1111111111  1111111111  1111111111"]
    assert table.lines(36)[-1] == "no room for: c; --json has all"
    assert table.lines(24)[1] == "a           d"


def test_a_block_per_row_where_nothing_else_helps():
    table = made(("a-long-name", "100 Mbit/s", "", "x, y"), ("b", "2", "w", ""))
    assert table.lines(20) == [
        "Title",
        "name   a-long-name",
        "rate   100 Mbit/s",
        "list   x, y",
        "",
        "name   b",
        "rate   2",
        "words  w",
    ]


@given(st.lists(CELLS, max_size=5), st.integers(10, 120))
def test_no_word_is_ever_broken(rows, width):
    text = made(*rows).lines(width)
    for row in rows:
        for cell in (row[0], row[1]):
            assert any(cell in line for line in text)
        for word in (*row[2].split(), *row[3].split(", ")):
            assert any(word in line for line in text)


@given(st.lists(CELLS, max_size=5), st.integers(40, 120))
def test_a_line_is_no_wider_than_the_terminal(rows, width):
    """40 holds a name of a column and the longest word beside it."""
    assert all(len(line) <= width for line in made(*rows).lines(width))


@given(st.lists(CELLS, max_size=5))
def test_elsewhere_every_row_is_one_line(rows):
    assert len(made(*rows).lines(None)) == len(rows) + 2


def test_styles_do_not_move_columns():
    table = made((Styled("ok", "green"), "1", "x", "y"), ("no", "2", "x", "y"))
    plain = table.lines(None)
    painted = table.lines(None, lambda text, style: f"<{style}>{text}</>" if style else text)
    assert painted[2] == plain[2].replace("ok", "<green>ok</>")
    assert painted[0] == "<bold>Title</>"


def test_a_bold_row_and_an_empty_line_after_a_section():
    table = Table("", [Column("a")], caption="below")
    table.add_row("1", bold=True)
    table.end_section()
    table.add_row("2")
    assert table.lines(None, lambda text, style: f"{style}:{text}") == ["bold:a", "bold:1", "", ":2", "below"]


@pytest.mark.parametrize("width", [None, 80])
def test_an_empty_table_is_its_heading(width):
    assert made().lines(width) == ["Title", "name  rate  words  list"]
