"""System calls and worker processes."""
