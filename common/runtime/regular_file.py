"""Regular files named in a configuration: opened through links, and only if regular.

Invariant: only regular files are opened, so nothing waits for the other end of a FIFO and no device is triggered.
"""

import errno
import os
import stat
from pathlib import Path


class NotRegularError(OSError):
    """The path is not a regular file (EINVAL)."""


def open_regular(path: Path, flags: int, mode: int = 0o600) -> int:
    """Return a descriptor as os.open does, closed on exec. Raises NotRegularError, OSError."""
    try:
        _check(path.stat(), path)
    except FileNotFoundError:
        if not flags & os.O_CREAT:
            raise
    # does not wait for a FIFO that has replaced it since
    descriptor = os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC, mode)
    try:
        _check(os.fstat(descriptor), path)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _check(facts: os.stat_result, path: Path) -> None:
    if not stat.S_ISREG(facts.st_mode):
        raise NotRegularError(errno.EINVAL, "it is not a regular file", str(path))
