"""A class's name says which class it is: no two in harness/ share one."""

import re
from collections import defaultdict
from pathlib import Path

import harness

_CLASS = re.compile(r"^ *class (\w+)", re.MULTILINE)


def test_no_two_classes_share_a_name():
    places = defaultdict(list)
    for path in Path(harness.__file__).parent.rglob("*.py"):
        for name in _CLASS.findall(path.read_text()):
            places[name].append(str(path))
    assert len(places) > 500
    assert {name: paths for name, paths in places.items() if len(paths) > 1} == {}
