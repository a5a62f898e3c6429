"""Who is on which machine, there and back through JSON."""

import json

from harness.model.machines import Machines, Path

PATH = Path(0.25, 0.001, 0.0004, 0.0005, 20, {"links": True})
MACHINES = Machines(
    ["a", "b", "a", "c"], {("a", "b"): PATH, ("b", "c"): PATH}, {0: {"links": 1450}, 1: {}, 2: {}, 3: {}}, 7.0
)


def test_paths_are_found_from_either_end_by_any_rank():
    assert MACHINES.path(2, 1) == PATH
    assert MACHINES.path(1, 0).ahead == -0.25
    assert MACHINES.path(0, 3) is None, "not measured"
    assert not MACHINES.apart(0, 2)
    assert Machines(["", ""]).apart(0, 1), "where they are is not known yet"
    assert MACHINES.first_ranks == {"a": 0, "b": 1, "c": 3}
    assert [MACHINES.ahead(rank) for rank in range(4)] == [0.0, 0.25, 0.0, 0.0]


def test_json_has_all_of_it():
    text = json.loads(json.dumps(MACHINES.to_json()))
    assert Machines.from_json(text) == MACHINES
    assert [one["path"] and one["path"]["ahead"] for one in text["ranks"]] == [None, 0.25, None, None]
