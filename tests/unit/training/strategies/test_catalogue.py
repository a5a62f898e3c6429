import re
from pathlib import Path

import pytest

from harness.errors import InputError
from harness.training.strategies.catalogue import TABLE, check_name, find_strategy

WHOLE = """
from harness.training.strategies.base import Strategy

class Mine(Strategy):
    def bytes_per_step(self):
        return 0.0
"""


@pytest.fixture
def own(tmp_path):
    def write(text, name="mine.py"):
        path = tmp_path / name
        path.write_text(text)
        return str(path)

    return write


def test_names_are_checked_without_importing_anything(tmp_path):
    for name in TABLE:
        check_name(name)
    with pytest.raises(InputError, match=r"'dilco' is unknown; did you mean 'diloco'\?"):
        check_name("dilco")
    with pytest.raises(InputError, match=r"there is no file .*/none\.py"):
        check_name(f"{tmp_path}/none.py:Mine")
    for odd in ("", "./mine", "a/b:Mine", ":Mine", "my..package:Mine"):
        with pytest.raises(InputError):
            check_name(odd)


@pytest.mark.torch
@pytest.mark.parametrize("name", TABLE)
def test_what_comes_with_harness_is_there_and_says_where_it_is_from(name):
    found = find_strategy(name)
    assert found.paper
    found.Options()


def test_the_page_on_strategies_has_a_row_for_each():
    page = (Path(__file__).parents[4] / "docs" / "strategies.md").read_text()
    assert set(re.findall(r"^\| `([\w-]+)`", page, re.MULTILINE)) == set(TABLE)


@pytest.mark.torch
def test_a_users_file(own):
    assert find_strategy(own(WHOLE)).__name__ == "Mine"
    assert find_strategy(own(WHOLE) + ":Mine").__name__ == "Mine"


@pytest.mark.torch
def test_a_users_package(own, monkeypatch, tmp_path):
    own(WHOLE, "my_strategies_of_a_test.py")
    monkeypatch.syspath_prepend(tmp_path)
    assert find_strategy("my_strategies_of_a_test:Mine").__name__ == "Mine"


@pytest.mark.torch
@pytest.mark.parametrize(
    ("text", "suffix", "told"),
    [
        (WHOLE, ":Other", "name one class of .* after a colon; it has Mine"),
        (WHOLE + "\nclass Second(Mine): pass", "", "it has Mine, Second"),
        ("x = 1", "", "it has none"),
        ("1 / 0", "", "importing it: ZeroDivisionError: division by zero"),
        ("import no_such_module_at_all", "", "importing it: No module named 'no_such_module_at_all'"),
        (WHOLE.replace("bytes_per_step", "bytes"), "", "Mine lacks bytes_per_step"),
        (WHOLE + "\n    Options = dict", "", "Options of Mine is not a dataclass"),
    ],
)
def test_a_users_file_that_is_not_right_ends_as_one_line(own, text, suffix, told):
    with pytest.raises(InputError, match=told):
        find_strategy(own(text) + suffix)


@pytest.mark.torch
def test_a_missing_package_ends_as_one_line():
    with pytest.raises(InputError, match="importing it: No module named 'no_such_package'"):
        find_strategy("no_such_package:Mine")
