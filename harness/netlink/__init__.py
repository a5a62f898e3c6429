"""Rtnetlink, as little of it as the hot path needs."""
