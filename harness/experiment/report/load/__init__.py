"""A folder of runs (docs/runs.md) -> records. A run that was cut off anywhere is read as far as it got."""

from harness.experiment.report.load.experiment import load_experiment

__all__ = ["load_experiment"]
