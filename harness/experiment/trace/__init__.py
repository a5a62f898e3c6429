"""One timeline of a run for Perfetto (ui.perfetto.dev): its ranks' steps, its links, its connections, its changes."""

from harness.experiment.trace.timeline import Timeline, timeline

__all__ = ["Timeline", "timeline"]
