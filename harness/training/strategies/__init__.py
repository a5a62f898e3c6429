"""Strategies: how ranks share what they learn. base.py is what all have in common; one file per strategy."""
