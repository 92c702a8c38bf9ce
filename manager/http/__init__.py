"""HTTPS endpoint: one gate for every request, the mapping of errors to statuses, streams, health and metrics."""
