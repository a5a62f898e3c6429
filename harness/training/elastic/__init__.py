"""Training that continues while a rank is away, and lets it join again: `--elastic SECONDS`.

One process group follows another; each is a generation. decide (pure) chooses the members; meeting forms groups at a
store that rank 0 serves; group makes a process group and ends it, by its sockets; state sends rank 0's state to all;
loop trains in one group after another and writes membership.jsonl.
"""
