"""A network that changes while jobs run: what happens when, from a file, and who makes it happen."""
