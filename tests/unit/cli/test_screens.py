"""Output for people: 80 columns never cut what must be copied, piped output has plain columns, and help."""

import re

import pytest

from harness.cli.main import VERBS
from harness.model.profile_file import shipped_profiles
from tests.support.cli import on_terminal
from tests.unit.cli.test_main import harness

BOXES = re.compile("[─-╿…]")
TABLES = {
    "profiles": shipped_profiles(),
    "plan -t islands:2 -n 9 -p cross-continental": ["10.77.0.9 fd77::9", "cross-continental+wan", "0->1", "8->5"],
    "plan -n 12 -p mobile-real": ["10.77.0.12 fd77::c", "mobile-real", "11->10"],
    "plan -n 5 -p home -t regions:2 --trunk 50mbit": ["r0->r1", "50 Mbit/s", "20 Mbit/s", "100 Mbit/s", "2->4"],
    "regions": ["us-east-1", "ap-southeast-1", "N. Virginia"],
    "scenarios": ["flaky-wan", "satellite", "lte-drive", "spot-preemption"],
    "play flaky-wan --dry-run": ["down all: over"],
    "plan -t regions:aws --place sa-east-1,eu-west-1": ["sa-east-1", "eu-west-1", "88 ms", "89 ms"],
    "plan -n 10 -p none -t regions:2 --trunk 1gbit": ["0->5", "2->6", "and 13 more"],
    "up --dry-run -n 3": ["10.77.0.3 fd77::3", "2->1"],
    "run --dry-run -n 2 -- true": ["10.77.0.2 fd77::2", "MASTER_ADDR=10.77.0.1"],
    "experiment run examples/strategies.yaml --dry-run": ["mobile.ring.diloco-H=10.seed0"],
}
TIMED = "experiment"
"""The output of this verb has measured values, which differ from call to call."""
QUANTITY = re.compile(r"[\d.]+ (?:[kMG]?bit/s|[mµ]?s|%)")


@pytest.mark.parametrize("words", TABLES)
def test_at_80_columns_nothing_is_cut_or_broken(words):
    shown = on_terminal(words.split())
    assert shown.splitlines()
    assert not BOXES.search(shown)
    for text in (*TABLES[words], *(QUANTITY.findall(harness(*words.split()).stdout) if TIMED not in words else ())):
        assert text in shown
    assert all(len(line) <= 80 for line in shown.splitlines() if not line.startswith("on every node"))


@pytest.mark.parametrize("words", TABLES)
def test_piped_output_is_plain_columns(words):
    done = harness(*words.split(), COLUMNS="40")
    assert done.returncode == 0
    assert not BOXES.search(done.stdout)
    assert "\x1b" not in done.stdout
    assert all(line == line.rstrip() for line in done.stdout.splitlines())
    if TIMED not in words:
        assert done.stdout == harness(*words.split(), COLUMNS="200", FORCE_COLOR="1").stdout


def test_doctor_gives_every_remedy_whole():
    shown, piped = on_terminal(["doctor"]), harness("doctor").stdout
    assert not BOXES.search(shown + piped)
    for line in piped.splitlines():
        if "; fix: " in line or re.match(r"[\w-]+: fix: ", line):
            assert line in shown
            assert re.search(rf"^no +{line.partition(':')[0]} ", piped, re.MULTILINE)


EVERY = (
    [[verb] for verb in VERBS]
    + [["link", one] for one in ("show", "set", "down", "up")]
    + [["traffic", one] for one in ("start", "show", "stop")]
    + [[verb, one] for verb in ("node", "trunk") for one in ("show", "set")]
    + [["experiment", "run"], ["experiment", "list"], ["image", "build"]]
)


@pytest.mark.parametrize("words", EVERY, ids=" ".join)
def test_help_by_either_name_with_examples_one_a_line(words):
    shown = harness(*words, "--help", COLUMNS="60")
    assert shown.returncode == 0
    if words[0] in ("up", "link"):  # it is the same setting for all
        assert harness(*words, "-h", COLUMNS="60").stdout == shown.stdout
    if words in (["link"], ["node"], ["trunk"], ["traffic"], ["experiment"], ["image"]):
        return
    examples = shown.stdout.partition("\n  Examples:\n")[2].partition("\n\n")[0].splitlines()
    assert examples
    for line in examples:
        assert re.match(rf"    (scripts/with-netem )?harness {' '.join(words)}\b", line)
