"""HTTP interface for programs."""
