"""The kernel features that a scenario needs are probed before it begins, each once."""

from types import SimpleNamespace

import pytest

from harness.errors import UnavailableError
from harness.model.plan_options import PlanOptions
from harness.scenario.kernel_check import check_kernel
from harness.scenario.scenario_file import load_scenario
from harness.shaping.needs import needs_of

EVENTS = """events:
  - {at: 1s, set: {edge: 0-1, delay: 5ms}}
  - {at: 2s, node: {ranks: 1, uplink: 20mbit}}
  - {at: 3s, node: {ranks: 2, uplink: 20mbit}}
  - {at: 4s, kill: {node: 2}}
"""


class Backend:
    engine = SimpleNamespace(name="userspace")

    def __init__(self, lacks=""):
        self.asked, self.lacks = [], lacks

    def check(self, plan, before):
        self.asked.append({need.feature for need in needs_of(plan, "userspace")})
        if self.lacks in self.asked[-1]:
            raise UnavailableError(f"this kernel lacks {self.lacks}")


@pytest.fixture
def script(tmp_path):
    path = tmp_path / "s.yaml"
    path.write_text(EVENTS)
    return load_scenario(path)


def test_a_new_feature_is_probed_once(script):
    backend = Backend()
    check_kernel(script, SimpleNamespace(plan=PlanOptions(nodes=3, profile="wan").plan(), backend=backend))
    assert backend.asked == [{"sch_htb", "cls_u32"}]


def test_a_missing_feature_is_reported_with_its_place(script):
    network = SimpleNamespace(plan=PlanOptions(nodes=3, profile="wan").plan(), backend=Backend("sch_htb"))
    with pytest.raises(UnavailableError, match=r"s\.yaml:3: .*lacks sch_htb"):
        check_kernel(script, network)


def test_an_event_that_needs_what_an_earlier_one_sets_is_probed_when_it_is_due(tmp_path):
    path = tmp_path / "s.yaml"
    path.write_text("events: [{at: 1s, set: {edge: all, rate: 9mbit}}, {at: 2s, set: {edge: all, burst: 64KiB}}]")
    backend = Backend()
    check_kernel(
        load_scenario(path), SimpleNamespace(plan=PlanOptions(nodes=3, profile="none").plan(), backend=backend)
    )
    assert backend.asked == []
