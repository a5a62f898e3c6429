"""docs/architecture.md: its map is short, and the files and symbols that it names are there."""

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/architecture.md").read_text()
MAP, _ = re.findall(r"^```$(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)  # and the drawing of `link set`
PATHS = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()


def files_named(name: str) -> list[str]:
    """The files of the checkout whose path is this, or ends with it after a slash."""
    return [path for path in PATHS if f"/{path}".endswith(f"/{name}")]


def test_its_map_has_at_most_fifteen_lines():
    assert len(MAP.strip().splitlines()) <= 15


def test_every_file_that_it_names_is_there():
    names = set(re.findall(r"(?<![\w/…}.])[\w/]+\.py\b", PAGE))
    assert len(names) > 50
    assert not [name for name in names if not files_named(name)]


def test_every_symbol_that_it_names_is_in_its_file():
    named = re.findall(r"`([\w/]+\.py):\s+([\w.]+(?:, \w+)*)`", PAGE)
    assert named
    for name, symbols in named:
        (path,) = files_named(name)
        text = (ROOT / path).read_text()
        assert not [symbol for symbol in re.findall(r"\w+", symbols) if not re.search(rf"\b{symbol}\b", text)], name
