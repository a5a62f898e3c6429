"""What explain says of runs that were really made, two of each cause: short copies of their records.

tests/support/prepared_runs.py made them (and says of what), on two cores with links in user space; tests/live makes
them again.
"""

from pathlib import Path

import pytest

from harness.experiment.report.analysis.explain import explain
from harness.experiment.report.load import load_experiment
from tests.support.prepared_runs import PREPARED

FOLDER = Path(__file__).parent / "prepared"


@pytest.mark.parametrize("name", PREPARED)
def test_the_sentence_names_the_cause_that_the_run_was_made_for(name):
    (run,) = load_experiment(FOLDER / name).runs
    found = explain(run)
    assert found.cause == PREPARED[name].cause, found
    assert sum(found.lost.values()) > 0
    assert found.sentence.endswith(".")
    assert found.advice


@pytest.mark.parametrize("cause", ["latency", "rate", "loss"])
def test_a_command_that_recorded_nothing_itself_is_explained_by_its_connections(cause):
    (run,) = load_experiment(FOLDER / f"own-{cause}").runs
    found = explain(run)
    assert found.cause == cause, found
    assert "data are under way for " in found.sentence or "lets TCP have" in found.sentence
    assert found.sentence.endswith("computing and waiting cannot be told apart without steps.")
