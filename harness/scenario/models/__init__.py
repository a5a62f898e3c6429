"""Models of links and nodes, used like recordings: seeded, endless and pure; one model per file."""
