"""Nodes as Docker containers."""
