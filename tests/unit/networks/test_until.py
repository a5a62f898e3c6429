"""The values of ``--until``."""

import pytest

from harness.errors import InputError
from harness.networks.until import parse_until


@pytest.mark.parametrize(("text", "until"), [("all", "all"), ("first", "first"), ("rank:0", 0), ("rank:3", 3)])
def test_words(text, until):
    assert parse_until(text, 4) == until


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("last", "--until 'last': write all, first, or a rank as rank:0"),
        ("rank:", "write all"),
        ("rank:-1", "write all"),
        ("rank:٠", "write all"),
        ("0", "write all"),
        ("", "write all"),
        ("rank:4", "there is no such rank; this network has ranks 0 to 3"),
    ],
)
def test_a_wrong_until_is_refused(text, words):
    with pytest.raises(InputError) as caught:
        parse_until(text, 4)
    assert words in str(caught.value)
