"""The command line: one verb per file. Only here does the command print or exit."""
