"""Computes which strategy won in each scenario, by how much, and the figures of every run. Pure: reads no file."""

from harness.experiment.report.analysis.scenarios import Analysis, Scenario, analyse

__all__ = ["Analysis", "Scenario", "analyse"]
