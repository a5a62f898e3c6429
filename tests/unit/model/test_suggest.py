"""Hints for misspelt words."""

import pytest

from harness.model.suggest import suggest


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("delya", "did you mean 'delay'?"),
        ("Delay", "did you mean 'delay'?"),
        ("latency", "did you mean 'delay'?"),
        ("bandwidth", "known: delay, loss"),
        ("colour", "known: delay, loss"),
        ("", "known: delay, loss"),
    ],
)
def test_suggest(word, hint):
    assert suggest(word, iter(["delay", "loss"])) == hint
