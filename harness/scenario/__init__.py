"""Scenarios: files of timed events that change a network while jobs run, and the player that makes the changes."""
