"""A program in a container, started from outside: the shim runs in the container, the client stands here."""
