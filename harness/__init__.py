"""Real networks for distributed training on one Linux machine."""

__version__ = "0.1.0"
