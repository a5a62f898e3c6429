"""What runs inside a node, and what drives it from outside."""
