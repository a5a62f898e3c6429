"""Makers of links."""
