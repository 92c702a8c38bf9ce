"""What the agent decides; no I/O."""
