"""The agent's decisions; no I/O."""
