"""Computes who won where, by how much, and what every run cost. Pure: reads no file."""

from harness.experiment.report.analysis.scenarios import Analysis, Scenario, analyse

__all__ = ["Analysis", "Scenario", "analyse"]
