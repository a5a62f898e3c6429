"""Strategies: how ranks share what they learn. base.py has their base class; one file per strategy."""
