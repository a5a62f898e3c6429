"""Which containers are whose network's nodes."""

import pytest

from harness.backends.docker.container_options import parse_volume
from harness.backends.docker.registry import DockerRegistry, sort_out
from harness.errors import HarnessError, InputError, RecordError
from harness.networks.placement import check_backend
from harness.networks.registry import LocalRegistry


def listed(identity, name, number, state="running", created=100, **labels):
    ours = {"tc-harness.network": name, **labels}
    return {"Id": identity, "Labels": ours | number, "State": state, "Created": created}


def compose(number):
    return {"com.docker.compose.container-number": str(number), "com.docker.compose.project": "p"}


def rank(number):
    return {"tc-harness.rank": str(number)}


def test_compose_counts_from_one_and_ranks_from_zero():
    (found,) = sort_out([listed("b", "x", compose(2)), listed("a", "x", compose(1), created=90)])
    assert (found.name, found.running, found.ended) == ("x", {0: "a", 1: "b"}, {})
    assert (found.created, found.transient) == (90.0, False)


def test_our_own_say_their_rank():
    transient = {"tc-harness.transient": "1"}
    (found,) = sort_out([listed("a", "x", rank(0) | transient), listed("b", "x", rank(1) | transient)])
    assert (found.running, found.transient) == ({0: "a", 1: "b"}, True)


def test_paused_is_running_and_exited_is_not():
    (found,) = sort_out([listed("a", "x", rank(0), "paused"), listed("b", "x", rank(1), "exited")])
    assert (found.running, found.ended) == ({0: "a"}, {1: "b"})


def test_others_are_none_of_our_business():
    assert sort_out([{"Id": "a", "Labels": {"maintainer": "x"}, "State": "running", "Created": 1}]) == []


def test_several_networks_are_told_apart_by_name():
    found = sort_out([listed("a", "y", rank(0)), listed("b", "x", rank(0))])
    assert [(one.name, one.running) for one in found] == [("x", {0: "b"}), ("y", {0: "a"})]


def test_ranks_of_a_stack_that_are_not_here_are_on_other_machines():
    """Also one that has ended here: Swarm may have started it elsewhere. The name is that of the deployed stack."""
    stack = {"tc-harness.stack": "4", "com.docker.stack.namespace": "deployed"}
    here = [listed("a", "file", rank(0) | stack), listed("b", "file", rank(2) | stack, "exited")]
    (found,) = sort_out(here)
    assert (found.name, found.running, found.ended) == ("deployed", {0: "a"}, {2: "b"})
    assert found.remote == {one: f"deployed_rank-{one}" for one in (1, 2, 3)}


@pytest.mark.parametrize(
    ("text", "parts"),
    [("/a:/b", ("/a", "/b", False)), ("/a:/b:ro", ("/a", "/b", True)), ("/a:/b:rw", ("/a", "/b", False))],
)
def test_a_volume_has_two_ends(text, parts):
    assert parse_volume(text) == parts


@pytest.mark.parametrize("text", ["", "/a", "a:/b", "/a:b", "/a:/b:rx", "./a:/b"])
def test_a_volume_that_makes_no_sense_is_refused_before_anything_is_made(text):
    with pytest.raises(InputError, match="--volume"):
        check_backend("docker", None, [text])


def test_a_container_that_ends_while_networks_are_listed_is_no_error_of_the_others(monkeypatch):
    registry = DockerRegistry(LocalRegistry())

    def gone(*_):
        raise HarnessError("node 1: Container 27 is not running; start its network again")

    monkeypatch.setattr(registry, "connect", gone)
    (found,) = sort_out([listed("a", "x", rank(0)), listed("b", "x", rank(1))])
    with pytest.raises(RecordError, match="network 'x' does not answer: node 1: Container 27 is not running"):
        registry.registration(found)
