"""The local health endpoint."""
