"""The HTTP interface for machines."""
