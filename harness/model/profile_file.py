"""Profiles in YAML files: the shipped ones, and users' own."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from harness.errors import InputError, ProfileError, quoted
from harness.model.profile import NODE_KEYS, NONE, SHAPE_KEYS, Profile
from harness.model.shape_file import read_shape
from harness.model.suggest import suggest
from harness.model.yaml_file import Entry, read_yaml

SHIPPED_ORDER: Final = (
    "local",
    "datacenter",
    "wan",
    "mobile",
    "poor",
    "mobile-real",
    "datacenter-real",
    "cross-continental",
    "home",
    "home-fibre",
    "satellite-leo",
    "satellite-geo",
    "cloud-vm",
)
PROFILE_KEYS: Final = {"description": "What it is, in one line."}
"""The keys of a profile's file beside those of a link, with their meaning (docs/reference/)."""


def shipped_directory() -> Path:
    """The folder of the shipped profiles. Raises ProfileError."""
    package = Path(__file__).parents[1]
    for directory in (package / "tc_profiles", package.parent / "tc_profiles"):
        if directory.is_dir():
            return directory
    raise ProfileError(f"the shipped profiles are missing beside {package}; install the package again")


def shipped_profiles() -> list[str]:
    """The names of the shipped profiles: those of SHIPPED_ORDER, then the others by alphabet."""
    names = sorted(path.stem for path in shipped_directory().glob("*.yaml"))
    return sorted(names, key=lambda name: SHIPPED_ORDER.index(name) if name in SHIPPED_ORDER else len(SHIPPED_ORDER))


def is_profile_path(text: str) -> bool:
    """Whether this is a path rather than a shipped profile's name: it has a slash, or ends with .yaml or .yml."""
    return "/" in text or text.lower().endswith((".yaml", ".yml"))


def load_profile(name_or_path: str) -> Profile:
    """A profile by shipped name (`-` and `_` alike), by path, or ``none`` for no shaping.

    Raises:
        ProfileError: there is no such profile, or its file is wrong (with file, line and YAML path).
    """
    if is_profile_path(name_or_path):
        return _load_file(Path(name_or_path))
    name = name_or_path.strip().lower().replace("_", "-")
    if name == NONE.name:
        return NONE
    shipped = shipped_profiles()
    if name not in shipped:
        hint = suggest(name, [NONE.name, *shipped])
        raise ProfileError(f"profile {quoted(name_or_path)} is unknown; {hint} (a file of your own: ./NAME.yaml)")
    return _load_file(shipped_directory() / f"{name}.yaml")


def named_profile(entry: Entry) -> Profile:
    """The profile that a YAML entry names, by shipped name or by a path relative to its file. Raises its error."""
    name = entry.text("the name or path of a profile")
    try:
        return load_profile(str(Path(entry.source).parent / name) if is_profile_path(name) else name)
    except InputError as cause:
        raise entry.fault(cause) from None


def _load_file(path: Path) -> Profile:
    root = read_yaml(path, ProfileError)
    values = root.mapping([*PROFILE_KEYS, *SHAPE_KEYS, *NODE_KEYS])
    description = " ".join(values["description"].text("a line of text").split()) if "description" in values else ""
    return read_shape(root, values, Profile(path.stem, description, path))
