"""What a campaign makes of what tasks say, in whatever order that comes."""

from types import SimpleNamespace

import pytest

from harness.experiment.campaign.campaign import Campaign, _Flight


class RayError(Exception):
    pass


@pytest.fixture
def campaign():
    """Of a cluster whose one task was refused by machine a1; nothing is started again."""
    made = Campaign.__new__(Campaign)
    outcome = ("a1", ("refused", "has no tc-harness"))
    errors = SimpleNamespace(RayError=RayError, RayTaskError=RayError)
    made._ray = SimpleNamespace(get=lambda ref: outcome if ref == "task" else ref, exceptions=errors)
    made._runner = SimpleNamespace(notify=lambda text: None)
    made._known, made._flights, made.started = {}, {}, []
    made._start = made.started.append
    return made


def test_a_refusal_that_comes_before_the_word_that_it_has_begun_is_of_its_machine(campaign):
    flight = _Flight(SimpleNamespace(slug="a"))
    campaign._ended("task", flight)
    assert flight.history.refused == {"a1": ("a machine", "has no tc-harness")}
    assert campaign.started == [flight]


def test_that_word_may_come_once_it_has_been_tried_again_elsewhere(campaign):
    flight = _Flight(SimpleNamespace(slug="a"))
    campaign._ended("task", flight)
    flight.machine, campaign._flights = "", {"again": flight}
    said = [("a", "begin", "a1")]
    campaign._board = SimpleNamespace(read=SimpleNamespace(remote=lambda: said))
    campaign._read_board()
    assert flight.machine == ""
    said[0] = ("a", "begin", "b1")
    campaign._read_board()
    assert flight.machine == "b1"
