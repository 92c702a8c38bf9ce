"""The resources of the management API, each described once."""
