"""The daemon on each node."""
