"""Read a plain file, and nothing that only looks like one."""

import os
import stat
from pathlib import Path


def read_plain(path: Path, limit_bytes: int) -> bytes | None:
    """Return a plain file's first bytes, None for anything else; links are not followed."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        try:
            return file.read(limit_bytes) if stat.S_ISREG(os.fstat(descriptor).st_mode) else None
        except OSError:
            return None
