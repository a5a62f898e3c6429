"""Measures every edge with real packets and compares the result with what was requested and applied.

In this order: ``verification`` measures edges, and those that are off once more; ``plan`` computes what to send over
which edges at the same time; ``driver`` starts the probes and goes through ``steps`` (echo, trains, bulk trains), each
of which sends its requests by ``probe_client``; ``stats`` turns samples into estimates; ``verdict`` judges them
(round trip and jitter, loss, rate); ``table`` prints. Everything in ``node`` runs inside a node, all else outside.
"""
