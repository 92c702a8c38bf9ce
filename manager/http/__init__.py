"""The HTTPS endpoint: one gate for every request, the table from errors to status, streams, health and metrics."""
