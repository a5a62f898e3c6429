"""The price of sending data."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Final, Self

from harness.errors import InputError, quoted

_UNITS: Final = {"GB": 10**9, "GiB": 2**30, "TB": 10**12, "TiB": 2**40}
_PRICE: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Z]{3})\s*/\s*(GB|GiB|TB|TiB)", re.ASCII)


@dataclass(frozen=True)
class Price:
    """The price of data that leave a node or a region.

    Args:
        per_byte: in the currency.
        currency: its ISO 4217 code, e.g. USD.
    """

    per_byte: float
    currency: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``0.09USD/GB``. Raises InputError."""
        found = _PRICE.fullmatch(text.strip())
        if not found:
            lacks = "a currency is missing" if re.fullmatch(r"\s*[\d.]+\s*(/\s*\w+)?\s*", text) else "it is not a price"
            raise InputError(f"--price {quoted(text)}: {lacks}; write e.g. 0.09USD/GB")
        amount = float(found[1])
        if not math.isfinite(amount):
            raise InputError(f"--price {quoted(text)}: that is not a price; write e.g. 0.09USD/GB")
        return cls(amount / _UNITS[found[3]], found[2])

    def cost(self, size: float) -> str:
        """The cost of ``size`` bytes, e.g. ``12.40 USD``."""
        amount = self.per_byte * size
        return f"{amount:.2f} {self.currency}" if amount >= 0.01 or not amount else f"{amount:.2g} {self.currency}"
