"""Limits that a command holds a request to before it sends it. Pure."""

from typing import Final

PAGE_MAX: Final = 10_000
"""The most certificates that the manager tells in one answer."""
