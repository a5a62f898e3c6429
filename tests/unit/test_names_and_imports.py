"""A class's name says which class it is, and what a module imports does not import that module."""

import re
from collections import defaultdict
from graphlib import TopologicalSorter
from pathlib import Path

import grimp

import harness

_CLASS = re.compile(r"^ *class (\w+)", re.MULTILINE)


def test_no_two_classes_share_a_name():
    places = defaultdict(list)
    for path in Path(harness.__file__).parent.rglob("*.py"):
        for name in _CLASS.findall(path.read_text()):
            places[name].append(str(path))
    assert len(places) > 500
    assert {name: paths for name, paths in places.items() if len(paths) > 1} == {}


def test_no_import_leads_back():
    """Also none inside a function; those for type checkers alone may."""
    graph = grimp.build_graph("harness", exclude_type_checking_imports=True, cache_dir=None)
    imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    assert "harness.networks.network" in imports["harness.cli.networks"], "imports inside functions are seen"
    assert len(list(TopologicalSorter(imports).static_order())) > 500  # raises CycleError with the circle
