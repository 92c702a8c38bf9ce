"""The manager daemon, and the operator's command."""
