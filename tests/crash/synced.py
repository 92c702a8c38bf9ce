"""Read from the order of calls what a power cut would lose; it needs no disk, and so runs beside every kill sweep."""

from collections.abc import Iterable
from pathlib import PurePosixPath

from tests.crash.syscalls import Call

_OPENS = frozenset({"open", "openat", "openat2", "creat"})
_WRITES = frozenset({"write", "pwrite64", "writev", "pwritev", "ftruncate", "truncate", "fallocate"})
_SYNCS = frozenset({"fsync", "fdatasync"})
_REMOVES = frozenset({"unlink", "unlinkat", "rmdir"})
_NAMES = frozenset({"mkdir", "mkdirat", "symlink", "symlinkat", "link", "linkat"})
_RENAMES = frozenset({"rename", "renameat", "renameat2"})


STAGING = ".staging"
"""What is half-made does not outlast a start, so it need not be synced there."""


def find_unsynced(calls: Iterable[Call], root: str) -> list[str]:
    """Return what got its name below `root` before its content was synced, and what was never synced at all."""
    dirty: set[str] = set()
    found = []
    for call in calls:
        parent = str(PurePosixPath(call.path).parent)
        if call.name in _OPENS:
            dirty |= {call.path, parent}
        elif call.name in _WRITES:
            dirty.add(call.path)
        elif call.name in _SYNCS:
            dirty.discard(call.path)
        elif call.name in _NAMES:
            dirty.add(parent)
        elif call.name in _REMOVES:
            dirty -= _below(dirty, call.path)
        elif call.name in _RENAMES:
            early = _below(dirty, call.source)
            found += [f"{path} was not synced when {call.path} got its name" for path in sorted(early)]
            dirty -= early
            dirty.add(parent)
    lost = _below(dirty, root) - _below(dirty, f"{root}/{STAGING}")
    return found + [f"{path} was never synced" for path in sorted(lost)]


def _below(paths: set[str], top: str) -> set[str]:
    return {path for path in paths if path == top or path.startswith(f"{top}/")}
