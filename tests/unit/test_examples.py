"""The list of examples."""

import re
from pathlib import Path

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_the_list_has_every_example_and_no_other():
    files = {path.name for path in EXAMPLES.iterdir() if path.suffix in (".py", ".yaml")}
    listed = re.findall(r"^\| \[(\S+)\]\((\S+)\)", (EXAMPLES / "README.md").read_text(), re.MULTILINE)
    assert all(name == target for name, target in listed)
    assert {name for name, _ in listed} == files


def test_scripts_import_what_would_keep_their_process_group_before_it_is_made():
    """See tests/contract/training/test_script_end.py."""
    texts = {path.name: path.read_text() for path in EXAMPLES.glob("*.py")}
    made = {
        name: text
        for name, text in texts.items()
        if "DistributedDataParallel(" in text and "init_process_group(" in text
    }
    assert len(made) >= 4
    assert [
        name for name, text in made.items() if " torch.distributed.nn " not in text.partition("init_process_group(")[0]
    ] == []
