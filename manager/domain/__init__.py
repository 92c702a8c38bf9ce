"""What the manager decides; no I/O."""
