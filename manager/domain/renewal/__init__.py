"""Renewal: certificates that are replaced in time, without anybody's hand."""
