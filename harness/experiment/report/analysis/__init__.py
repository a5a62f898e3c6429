"""Records -> who won where, by how much, and what every run cost. Pure: nothing here reads a file."""

from harness.experiment.report.analysis.scenarios import Analysis, Scenario, analyse

__all__ = ["Analysis", "Scenario", "analyse"]
