"""The life of one network: create, shape, find again, reshape, remove; and programs on its nodes."""
