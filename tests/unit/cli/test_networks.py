"""Which network a verb is about: one rule for nodes in namespaces and in containers."""

from types import SimpleNamespace

import pytest

from harness.cli import networks
from harness.errors import NetworkStateError, RecordError, UnavailableError
from harness.networks.network import Network
from harness.networks.registry import LocalRegistry
from tests.support.fakes import FakeBackend, FakeEngine
from tests.support.plans import network

HERE, THERE = "namespaces", "containers"


class Containers(LocalRegistry):
    """The networks that a Docker daemon lists; ``refuses`` is its error instead."""

    refuses = None
    stacks = ()

    def found(self):
        if self.refuses:
            raise self.refuses
        return [SimpleNamespace(name=name, running=True) for name in self.names()]

    def has_stack(self, name):
        return name in self.stacks

    def connect(self, found, ranks):
        self.asked = ranks

    def registration(self, found):
        return self.load(found.name)


@pytest.fixture
def registries(tmp_path, monkeypatch):
    monkeypatch.setattr("harness.networks.network.find_backend", lambda one: FakeBackend(FakeEngine(), one.handle))
    made = {HERE: LocalRegistry(tmp_path / HERE), THERE: Containers(tmp_path / THERE)}
    monkeypatch.setattr(networks, "LocalRegistry", lambda: made[HERE])
    monkeypatch.setattr(networks, "_containers", lambda: made[THERE])
    yield made
    FakeBackend.living.clear()


def start(registries, **up):
    for name, kind in up.items():
        Network.up(name, network("line", 2), FakeBackend(FakeEngine()), registries[kind])


@pytest.mark.parametrize("kind", [HERE, THERE])
def test_without_a_name_it_is_the_only_one(registries, kind):
    start(registries, mine=kind)
    assert networks.find_network("default").name == "mine"
    assert networks.find_network("mine").name == "mine"
    with pytest.raises(NetworkStateError, match="'yours' is not up; up are: mine; choose one with --name"):
        networks.find_network("yours")


@pytest.mark.parametrize(("one", "other"), [(HERE, HERE), (HERE, THERE), (THERE, THERE)])
def test_without_a_name_nothing_is_guessed_where_several_are_up(registries, one, other):
    start(registries, one=one, other=other)
    with pytest.raises(NetworkStateError, match="'default' is not up; up are: one, other; choose one with --name"):
        networks.find_network("default")
    assert networks.find_network("other").name == "other"
    start(registries, default=other)
    assert networks.find_network("default").name == "default"


def test_a_stack_all_of_whose_containers_are_elsewhere(registries):
    registries[THERE].stacks = ("mine",)
    with pytest.raises(NetworkStateError, match=r"no container of stack 'mine' runs on this machine: .*stack ps mine"):
        networks.find_network("mine")


def test_none_is_up(registries):
    with pytest.raises(NetworkStateError, match="'default' is not up; start it with 'harness up --name default'"):
        networks.find_network("default")


def test_a_network_that_has_ended_is_not_up(registries):
    start(registries, mine=HERE)
    FakeBackend.living.clear()
    with pytest.raises(NetworkStateError, match="'default' is not up; start it"):
        networks.find_network("default")


def test_the_ranks_that_will_be_asked_reach_the_containers(registries):
    start(registries, mine=THERE)
    networks.find_network("mine", frozenset({2, 3}))
    assert registries[THERE].asked == {2, 3}


def test_where_docker_does_not_answer_namespaces_are_found_and_it_is_said(registries):
    registries[THERE].refuses = UnavailableError("no Docker daemon answers")
    with pytest.raises(NetworkStateError, match="is not up") as caught:
        networks.find_network("default")
    assert caught.value.__notes__ == ["could not list networks of containers: no Docker daemon answers"]
    start(registries, mine=HERE)
    assert networks.find_network("default").name == "mine"


def test_a_damaged_record_does_not_hide_the_others(registries, tmp_path):
    start(registries, mine=HERE)
    (tmp_path / HERE / "bad.json").write_text("{")
    assert networks.find_network("default").name == "mine"
    with pytest.raises(RecordError, match="harness down --name bad"):
        networks.find_network("bad")
