"""Placeholders of a command: what is filled, and what stays text."""

import pytest

from harness.errors import InputError
from harness.experiment.placeholders import check_names, fill, names_in


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("{lr}", "0.1"),
        ("--lr={lr}/{lr}", "--lr=0.1/0.1"),
        ("{{lr}}", "{lr}"),
        ("${{HOME}}", "${HOME}"),
        ('{"a": {"b": 1}}', '{"a": {"b": 1}}'),
        ("{}", "{}"),
        ("{0}", "{0}"),
        ("{lr:.2f}", "{lr:.2f}"),
        ("{a b}", "{a b}"),
        ('{"lr": {lr}}', '{"lr": 0.1}'),
    ],
)
def test_only_a_name_in_braces_stands_for_a_value(text, filled):
    assert fill(text, {"lr": "0.1"}) == filled


def test_a_value_is_text_whatever_stands_in_it():
    assert fill("{a}", {"a": "{b}; rm -rf / $HOME", "b": "x"}) == "{b}; rm -rf / $HOME"


def test_names():
    assert names_in("{a} {{b}} {c_1} {2} {d.e}") == {"a", "c_1"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{lrr}", "placeholder '{lrr}' has no value; did you mean 'lr'?; write {{lrr}} for the text itself"),
        ("{rank}", "each finds its rank in $RANK"),
    ],
)
def test_a_name_without_a_value_is_refused(text, message):
    check_names("{lr} {{x}}", ["lr"])
    with pytest.raises(InputError) as error:
        check_names(text, ["lr", "seed"])
    assert message in str(error.value)
