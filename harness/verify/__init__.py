"""Measures every edge with real packets and compares the result with what was requested and applied.

``verification`` measures edges, and once more those that are off; ``plan`` computes what to send; ``driver`` starts the
probes and runs ``steps`` (echo, trains, bulk trains), which send requests by ``probe_client``; ``stats`` turns samples
into estimates; ``verdict`` judges them; ``table`` prints. Only ``node`` runs inside nodes.
"""
