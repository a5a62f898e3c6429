"""The list of examples."""

import re
from pathlib import Path

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_the_list_has_every_example_and_no_other():
    files = {path.name for path in EXAMPLES.iterdir() if path.suffix in (".py", ".yaml")}
    listed = re.findall(r"^\| \[(\S+)\]\((\S+)\)", (EXAMPLES / "README.md").read_text(), re.MULTILINE)
    assert all(name == target for name, target in listed)
    assert {name for name, _ in listed} == files
