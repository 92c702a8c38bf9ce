"""The manager's decisions; no I/O."""
