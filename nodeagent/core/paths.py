"""Paths in the services file. Decides which are plain; leaves to the shell whether they exist."""

from typing import Final

PATH_MAX: Final = 4096
"""Linux's own limit (limits.h)."""


def is_plain_path(path: str) -> bool:
    """Whether this is a plain absolute path, without '..', '//' or a NUL."""
    parts = path.split("/")
    return (
        len(path) <= PATH_MAX
        and path.startswith("/")
        and "\0" not in path
        and all(part not in {"", ".", ".."} for part in parts[1:])
    )
