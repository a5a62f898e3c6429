"""Nodes as network namespaces of this machine."""
