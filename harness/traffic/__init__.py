"""Cross traffic: a foreground load between two nodes, which a job competes with."""
