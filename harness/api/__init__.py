"""Networks for Python programs and tests: ``import harness`` offers its names."""
