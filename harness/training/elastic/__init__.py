"""Training that goes on while a rank is away, and takes it in again when it is back: `--elastic SECONDS`.

One process group follows another, each a generation. decide (pure) says who is in; meeting forms groups at a store that
rank 0 serves; group makes one and ends it, by its sockets; state is what rank 0 sends to all; loop trains from group to
group and writes membership.jsonl.
"""
