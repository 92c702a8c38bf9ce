"""The use cases: each checks plain values, changes the store once, writes the audit log, and tells the fleet whom it concerns."""
