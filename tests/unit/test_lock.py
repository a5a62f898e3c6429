"""requirements/*.lock pin all that pyproject.toml asks for, with hashes."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
DATA = tomllib.loads((ROOT / "pyproject.toml").read_text())
EXTRAS = DATA["project"]["optional-dependencies"]
WANTED = {
    "build": DATA["build-system"]["requires"],
    "run": DATA["project"]["dependencies"],
    "torch": [line for line in EXTRAS["torch"] if not line.startswith("torch")],
    "dev": [*EXTRAS["dev"], *EXTRAS["report"], *EXTRAS["perfetto"], *EXTRAS["docker"], *EXTRAS["ray"]],
}


def pinned(*names):
    found = {}
    for name in names:
        text = (ROOT / "requirements" / f"{name}.lock").read_text()
        for entry in re.findall(r"^[A-Za-z0-9].*(?:\n +--hash.*)*", text, re.MULTILINE):
            assert "--hash=sha256:" in entry, entry
            package, version = re.match(r"([\w.-]+)==([\w.+]+)", entry).groups()
            found[canonicalize_name(package)] = version
    return found


@pytest.mark.parametrize("name", WANTED)
def test_what_the_project_asks_for_is_pinned_as_it_asks(name):
    found = pinned("build") if name == "build" else pinned("run", "node", "torch", "dev")
    for line in WANTED[name]:
        wanted = Requirement(line)
        version = found.get(canonicalize_name(wanted.name))
        assert wanted.specifier.contains(version or "0"), f"{line}, locked: {version}; run scripts/lock.py"


def test_pytorch_is_pinned_where_its_cpu_build_is_named():
    assert not {"torch", "triton"} & pinned("build", "run", "node", "torch", "dev").keys()
    assert Requirement(EXTRAS["torch"][0]).specifier.contains(DATA["tool"]["tc-harness"]["torch"])


def test_the_image_needs_nothing_that_only_development_does():
    assert not {"pytest-xdist", "mypy", "ruff"} & pinned("run", "node", "torch").keys()
    assert "pytest" in pinned("node"), "assertions in functions from test modules ask it for their words"
    assert "pytest" not in pinned("run"), "whoever only uses harness has no need of it"
