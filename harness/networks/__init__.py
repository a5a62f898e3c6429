"""The life of one network: created, shaped, found again, reshaped, removed; programs on its nodes."""
