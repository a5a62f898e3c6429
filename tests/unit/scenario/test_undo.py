"""An event that is over undoes its own changes, and nothing else."""

from dataclasses import replace

from harness.model.capacity_edit import node_change, trunk_change
from harness.model.plan_edit import set_down, shape_change
from harness.model.plan_options import PlanOptions
from harness.model.units import Time
from harness.scenario.undo import Undo

PLAN = PlanOptions(nodes=3, topology="regions:2", profile="wan").plan()


def changed(plan, undo, *edits):
    for edit in edits:
        new = edit(plan)
        undo.remember(plan, new)
        plan = new
    return plan


def test_undo_restores_links_caps_and_trunks():
    undo = Undo()
    plan = changed(
        PLAN,
        undo,
        shape_change("0-1", {"delay": "80ms", "jitter": "0"}),
        shape_change("0-1", {"delay": "90ms"}),
        lambda plan: set_down(plan, [(1, 2)], True),
        node_change("2", {"uplink": "5mbit", "cpu": "25%"}),
        node_change("1", {"cpu": "50%"}),
        trunk_change("r0-r1", {"rate": "9mbit"}),
    )
    assert undo.apply(plan) == PLAN


def test_what_others_changed_meanwhile_stays():
    undo = Undo()
    plan = changed(PLAN, undo, shape_change("0-1", {"loss": "5%"}), node_change("2", {"uplink": "5mbit"}))
    plan = node_change("2", {"cpu": "25%"})(plan)
    plan = shape_change("0-1", {"delay": "80ms", "jitter": "1ms"})(plan)
    plan = node_change("2", {"downlink": "7mbit"})(plan)
    back = undo.apply(plan)
    assert back.edges[0, 1].shape.loss == PLAN.edges[0, 1].shape.loss
    assert back.edges[0, 1].shape.delay == Time(80_000_000)
    assert back.node_shape(2) == replace(plan.node_shape(2), uplink=None)
