"""Packets of links as they enter and leave them: ``harness capture``."""
