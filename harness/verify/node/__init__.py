"""What runs inside a node: ``python -m harness.verify.node.probe``, its receiver, and the packets."""
