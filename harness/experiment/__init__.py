"""Experiments: profiles x topologies x strategies x seeds, each combination a run whose records can be compared."""
