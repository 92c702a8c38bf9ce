"""The HTTPS endpoint and its pages."""
