"""What trains or communicates on the nodes: the only modules that import torch, and only when they run."""
