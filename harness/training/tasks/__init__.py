"""What is learned: a model, real data, and who has which part of it. ``base.py`` is what tasks have in common."""
