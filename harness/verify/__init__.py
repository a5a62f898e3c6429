"""Whether links do what was requested: real packets over every edge, measured and compared."""
