"""YAML that people write: values know where they stand, and what is wrong gets one line with file, line and path."""

import sys
from pathlib import Path

import pytest

from harness.errors import ProfileError, TopologyError
from harness.model.yaml_file import MAX_FILE_BYTES, read_text, read_yaml


@pytest.fixture
def read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def write_and_read(text):
        Path("my.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
        return read_yaml(Path("my.yaml"), TopologyError)

    return write_and_read


def test_values_know_their_place(read):
    root = read("a: 1\nb:\n  - x\n  - c: 2\n")
    values = root.mapping(["a", "b"])
    first, second = values["b"].items()
    deepest = second.mapping(["c"])["c"]
    assert values["a"].whole_number("a number") == 1
    assert first.text("a word") == "x"
    assert (root.path, values["a"].path, first.path, deepest.path) == ("", "a", "b[0]", "b[1].c")
    assert (root.line, values["b"].line, deepest.line) == (1, 3, 4)
    assert values["b"].is_list
    assert not root.is_list
    assert str(deepest.fault("no")) == "my.yaml:4: b[1].c: no"
    assert str(root.fault("no")) == "my.yaml:1: no"
    assert isinstance(root.fault("no"), TopologyError)


def test_text_is_what_was_written(read):
    values = read("a: 0x10\nb: 1_000\nc: 2026-01-01\nd: 'true'\ne: 1e3\n").mapping("abcde")
    assert [value.text("text") for value in values.values()] == ["0x10", "1_000", "2026-01-01", "true", "1e3"]


def test_a_byte_order_mark_and_anchors_are_understood(read):
    values = read(b"\xef\xbb\xbfa: &x 5\nb: *x\n").mapping("ab")
    assert values["b"].whole_number("a number") == 5


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "my.yaml is empty"),
        ("# nothing\n", "my.yaml is empty"),
        ("a: b: c", "my.yaml:1: this is not YAML: mapping values are not allowed here"),
        ("x: 1\ny: [1ms", "my.yaml:2: this is not YAML"),
        ("--- {}\n--- {}", "found another document"),
        ("delay: *nowhere", "this is not YAML: found undefined alias"),
        (b"\x00\x01\x02", "this is not YAML"),
        (b"\xff\xfe\x80junk", "my.yaml is not a text file"),
    ],
)
def test_files_that_are_no_yaml(read, text, words):
    with pytest.raises(TopologyError) as caught:
        read(text)
    assert words in str(caught.value)
    assert str(caught.value).startswith("my.yaml")
    assert "\n" not in str(caught.value)


def test_nesting_without_end(read):
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(1000)  # Python's own; a library that another test has imported may have raised it
    try:
        with pytest.raises(TopologyError, match="nested too deeply"):
            read("[" * 5000)
    finally:
        sys.setrecursionlimit(before)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("- a", "my.yaml:1: a list where a mapping is expected, with keys such as a, b, c"),
        ("hello", "'hello' where a mapping is expected"),
        ("1: 2", "my.yaml:1: unknown key '1'; known: a, b, c"),
        ("? [a, b]\n: c", "a key must be a plain word"),
        ("a: 1\nb: 2\na: 3", "my.yaml:3: key 'a' is given twice (first in line 1)"),
    ],
)
def test_mappings(read, text, words):
    with pytest.raises(TopologyError) as caught:
        read(text).mapping("abc")
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "nothing"),
        ("~", "nothing"),
        ("yes", "the truth value yes"),
        ("{x: 1}", "a mapping"),
        ("[1]", "a list"),
        ("!mine 5", "'5' with the tag '!mine'"),
        ("-5", "'-5'"),
        ("1.5", "'1.5'"),
        ("²", "'²'"),
        ("9" * 19, f"'{'9' * 19}'"),
    ],
)
def test_what_is_no_number_is_told(read, text, told):
    value = read(f"a: {text}").mapping("a")["a"]
    with pytest.raises(TopologyError) as caught:
        value.whole_number("a rank")
    assert str(caught.value) == f"my.yaml:1: a: {told} where a rank is expected"


def test_what_is_no_list_is_told(read):
    with pytest.raises(TopologyError, match=r"^my\.yaml:1: a: 'x' where a list is expected$"):
        read("a: x").mapping("a")["a"].items()


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("missing", "missing: there is no such file"),
        ("/", "/ is a directory, not a file"),
        ("/dev/zero", "/dev/zero is a device, not a file"),
        ("/proc/self/mem", "cannot be read"),
        ("/nowhere\0/x", "cannot be read"),
    ],
)
def test_files_that_cannot_be_read(path, words):
    with pytest.raises(ProfileError) as caught:
        read_text(Path(path), ProfileError)
    assert words in str(caught.value)


def test_the_largest_file_is_read(tmp_path):
    path = tmp_path / "large"
    path.write_bytes(b"a" * MAX_FILE_BYTES)
    assert len(read_text(path, ProfileError)) == MAX_FILE_BYTES
