"""Learning tasks: a model, real data, and how it is divided among ranks. base.py has their protocol."""
