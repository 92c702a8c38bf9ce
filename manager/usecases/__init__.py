"""The use cases: each checks plain values, changes the store and the audit log in one transaction, and tells the fleet whom it concerns."""
