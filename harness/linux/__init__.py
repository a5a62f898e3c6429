"""Namespaces, signals, sysctls, forked children: what the standard library has no names for."""
