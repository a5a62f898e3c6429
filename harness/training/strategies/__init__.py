"""How ranks share what they learn: one strategy per file. ``base.py`` is what they have in common."""
