"""docs/reference/ is what the code declares, and lacks nothing."""

import importlib.util
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.torch

_spec = importlib.util.spec_from_file_location("reference", ROOT / "scripts" / "reference.py")


@pytest.fixture(scope="module")
def reference():
    module = importlib.util.module_from_spec(_spec)
    _spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["profile.md", "topology.md", "experiment.md", "environment.md"])
def test_the_page_is_what_the_code_declares(reference, name):
    written = (ROOT / "docs" / "reference" / name).read_text()
    assert written == reference.NOTE + reference.PAGES[name](), "run scripts/reference.py"


def test_every_page_is_written_and_no_other(reference):
    assert {path.name for path in reference.FOLDER.iterdir()} == set(reference.PAGES)


def test_no_meaning_is_missing(reference):
    for name, page in reference.PAGES.items():
        for line in page().splitlines():
            if line.startswith("| `"):
                assert [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]][-1], f"{name}: {line}"


def test_every_variable_that_the_code_names_is_there(reference):
    page = reference.PAGES["environment.md"]()
    files = subprocess.run(
        ["git", "ls-files", "harness", "scripts", "compose.yaml", "docker"], cwd=ROOT, capture_output=True, text=True
    ).stdout.split()
    named = {
        name
        for file in files
        if file != "scripts/reference.py" and (ROOT / file).suffix not in (".css", ".js")
        for name in re.findall(r"\bHARNESS_[A-Z0-9_]*[A-Z0-9]", (ROOT / file).read_text(errors="replace"))
    }
    named -= {"HARNESS_PLAN", "HARNESS_COMPLETE", "HARNESS_PROGRAM"}
    missing = {name for name in named if f"`{name}`" not in page and not name.startswith(reference.INTERNAL)}
    assert not missing
