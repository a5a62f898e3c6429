"""Models of links and nodes that ship in place of recordings: seeded, endless and pure; one model a file."""
