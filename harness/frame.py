"""Ethernet frames of MTU 1500 in bytes, as the kernel's qdiscs count them: without preamble and checksum."""

from typing import Final

MTU: Final = 1500
ETHERNET: Final = 14
"""The header."""
FRAME: Final = MTU + ETHERNET
"""A full one."""
SEGMENT: Final = 1448
"""What a full TCP segment carries: with timestamps, over IPv4."""
HEADERS: Final = MTU - SEGMENT
"""Its IPv4 and TCP headers."""
