"""The command line: one verb per file. Only here does anything print or exit."""
