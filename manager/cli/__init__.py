"""The operator's command, which talks to the API only."""
