"""Paths as the services file may name them. Decides which are plain; whether they are there is for the shell."""

from typing import Final

PATH_MAX: Final = 4096
"""Linux's own limit (limits.h)."""


def is_plain_path(path: str) -> bool:
    """Whether this is an absolute path that says where it leads: without '..', '//' or a NUL."""
    parts = path.split("/")
    return (
        len(path) <= PATH_MAX
        and path.startswith("/")
        and "\0" not in path
        and all(part not in {"", ".", ".."} for part in parts[1:])
    )
