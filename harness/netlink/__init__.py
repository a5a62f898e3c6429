"""Netlink sockets, and the wire formats of what is sent over them."""
