"""Renewal of certificates in time, without manual work."""
