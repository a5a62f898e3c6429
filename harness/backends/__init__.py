"""Where nodes live: network namespaces, or containers."""
