"""Opening files that somebody configured, links followed.

Invariant: only a plain file is opened, so that nothing waits for the other end of a FIFO and no device is set going.
"""

import errno
import os
import stat
from pathlib import Path


class NotPlainError(OSError):
    """What is there is no plain file (EINVAL)."""


def open_plain(path: Path, flags: int, mode: int = 0o600) -> int:
    """Return a descriptor as os.open does, closed on exec. Raises NotPlainError, OSError."""
    try:
        _check(path.stat(), path)
    except FileNotFoundError:
        if not flags & os.O_CREAT:
            raise
    # not to wait for what took its place since
    descriptor = os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC, mode)
    try:
        _check(os.fstat(descriptor), path)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _check(facts: os.stat_result, path: Path) -> None:
    if not stat.S_ISREG(facts.st_mode):
        raise NotPlainError(errno.EINVAL, "it is not a plain file", str(path))
