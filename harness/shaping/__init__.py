"""How an edge is enforced: by qdiscs of the kernel (netem), or by packets that wait in user space (userspace)."""
