"""What an experiment showed: reads a folder of runs (docs/runs.md), works out figures, makes a page and files."""
