"""Writes that survive a power cut, and names that appear whole or not at all.

The only place that publishes names. Raises OSError as it comes; the caller knows what the failure means.
Invariant: owner and mode first, content second, fsync third, name last, then the directory's fsync.
"""

import contextlib
import os
import secrets
import shutil
from pathlib import Path

_KEEP = -1
"""chown's own word for leaving an owner or group as it is."""


def write_file(path: Path, data: bytes, *, mode: int, uid: int = _KEEP, gid: int = _KEEP) -> None:
    """Replace or create a file. Readers see the old content or the new one, never another owner or mode than the last."""
    temporary = _beside(path)
    try:
        create_file(temporary, data, mode=mode, uid=uid, gid=gid)
        os.replace(temporary, path)  # noqa: PTH105, TID251 - this is the place that publishes names
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    sync_dir(path.parent)


def try_file(path: Path, *, uid: int = _KEEP, gid: int = _KEEP) -> None:
    """See whether a file could be made here with this owner, by making one beside it and removing it."""
    temporary = _beside(path)
    try:
        create_file(temporary, b"", mode=0o600, uid=uid, gid=gid)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def create_file(path: Path, data: bytes, *, mode: int, uid: int = _KEEP, gid: int = _KEEP) -> None:
    """Create a file that does not exist, with its final owner and mode before its first byte, and sync its content.

    The directory is not synced: in a staged tree that is done once at the end.
    """
    # created unreadable for others, because between open and fchmod the mode is what the umask left of this one
    descriptor = os.open(
        path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, mode & 0o700
    )
    try:
        if (uid, gid) != (_KEEP, _KEEP):
            os.fchown(descriptor, uid, gid)
        os.fchmod(descriptor, mode)
        _write_all(descriptor, data)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_dir(path: Path, mode: int) -> None:
    """Create a directory with this mode whatever the umask, and sync its parent. An existing one keeps what it is."""
    try:
        path.mkdir(mode=mode & 0o700)
    except FileExistsError:
        if not path.is_dir():
            raise
        return
    path.chmod(mode)
    sync_dir(path.parent)


def publish(staged: Path, path: Path) -> None:
    """Give a staged and synced file or directory its name, on the same filesystem."""
    os.rename(staged, path)  # noqa: PTH104, TID251 - this is the place that publishes names
    sync_dir(path.parent)


def publish_link(link: Path, target: str) -> None:
    """Make `link` point at `target` in one step; it never dangles and is never missing in between."""
    temporary = _beside(link)
    try:
        temporary.symlink_to(target)
        os.replace(temporary, link)  # noqa: PTH105, TID251 - this is the place that publishes names
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    sync_dir(link.parent)


def sync_dir(path: Path) -> None:
    """Make the names in a directory durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_tree(path: Path) -> None:
    """Remove a directory and what is in it; one that is not there is fine. A link is removed, not followed."""
    if path.is_symlink():
        path.unlink()
        return
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(path)


def _beside(path: Path) -> Path:
    """Return a name in the same directory that nobody uses; leftovers of a kill begin with a dot and end in .tmp."""
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
