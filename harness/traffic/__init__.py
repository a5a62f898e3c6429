"""Cross traffic: loads between two nodes, with which a job competes."""
