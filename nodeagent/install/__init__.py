"""The transaction that changes a node."""
