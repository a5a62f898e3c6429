"""``harness capture``: records packets as they enter and leave links."""
