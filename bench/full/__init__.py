"""`make bench-full`: the whole manager with ten thousand nodes, beside floors and rivals of the same run."""
