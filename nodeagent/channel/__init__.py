"""The connection to the manager."""
