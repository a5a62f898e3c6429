"""Capacities that edges share, made by htb trees that stand apart from the links' own."""
