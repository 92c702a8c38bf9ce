"""All attacks at once against a manager with simulated and real nodes, and what its honest clients notice of it."""
