"""What analysis/explain.py decides by: where time went, what the network did, and the words for it."""
