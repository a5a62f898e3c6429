"""A timeline of a run for Perfetto (ui.perfetto.dev): steps of ranks, links, TCP connections, changes."""

from harness.experiment.trace.timeline import Timeline, timeline

__all__ = ["Timeline", "timeline"]
