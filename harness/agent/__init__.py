"""Process 1 of a container: it shapes the links of its own node, meets the other agents, runs the job."""
