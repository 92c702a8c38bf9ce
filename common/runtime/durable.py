"""Writes that survive a power cut, and names that appear whole or not at all.

The only place that publishes names. Works in directories that it opened itself, through none that others could redirect
(`common.runtime.trusted`). Raises OSError as it comes; the caller knows what the failure means.
Invariant: owner and mode first, content second, fsync third, name last, then the directory's fsync.
"""

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from common.runtime.trusted import directory

_KEEP: Final = -1
"""chown's own word for leaving an owner or group as it is."""

_CREATE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
_LOCK: Final = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_ENTER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True, kw_only=True)
class NewFile:
    """A file to be made. `path` is below a tree's directory: a name, or a directory's and a name."""

    path: str
    data: bytes = field(repr=False)
    mode: int
    uid: int
    gid: int


def write_file(path: Path, data: bytes, *, mode: int, uid: int = _KEEP, gid: int = _KEEP) -> None:
    """Replace or create a file. Readers see the old content or the new one, never another owner or mode than the last."""
    with directory(path.parent) as parent:
        write_in(parent, path.name, data, mode=mode, uid=uid, gid=gid)


def write_in(parent: int, name: str, data: bytes, *, mode: int, uid: int = _KEEP, gid: int = _KEEP) -> None:
    """Replace or create a file, as `write_file` does, in a directory that is open."""
    with _replaced(parent, name) as temporary:
        create_in(parent, temporary, data, mode=mode, uid=uid, gid=gid)


def try_file(path: Path, *, uid: int = _KEEP, gid: int = _KEEP) -> None:
    """See whether a file could be made here with this owner, by making one beside it and removing it."""
    temporary = _beside(path.name)
    with directory(path.parent) as parent:
        try:
            create_in(parent, temporary, b"", mode=0o600, uid=uid, gid=gid)
        finally:
            with contextlib.suppress(OSError):
                os.unlink(temporary, dir_fd=parent)


def create_file(path: Path, data: bytes, *, mode: int, uid: int = _KEEP, gid: int = _KEEP) -> None:
    """Create a file that does not exist, with its final owner and mode before its first byte, and sync its content.

    The directory is not synced: in a staged tree that is done once at the end.
    """
    with directory(path.parent) as parent:
        create_in(parent, path.name, data, mode=mode, uid=uid, gid=gid)


def create_in(parent: int, name: str, data: bytes, *, mode: int, uid: int = _KEEP, gid: int = _KEEP) -> None:
    """Create a file, as `create_file` does, in a directory that is open."""
    descriptor = _create(parent, name, data, mode=mode, uid=uid, gid=gid)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def open_lock(path: Path) -> int:
    """Return a descriptor of a regular file to lock, made now if there is none; the caller closes it."""
    with directory(path.parent) as parent:
        descriptor = os.open(path.name, _LOCK, 0o600, dir_fd=parent)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is not a regular file", str(path))
    return descriptor


def make_dir(path: Path, mode: int) -> None:
    """Create a directory with this mode whatever the umask, and sync its parent. An existing one keeps what it is."""
    with directory(path.parent) as parent:
        try:
            os.close(_create_dir(parent, path.name, mode=mode, uid=_KEEP, gid=_KEEP))
        except FileExistsError:
            if not stat.S_ISDIR(os.stat(path.name, dir_fd=parent, follow_symlinks=False).st_mode):
                raise
            return
        os.fsync(parent)


def make_dirs(path: Path, mode: int) -> None:
    """Create a directory and those above it that are missing, each as `make_dir` does."""
    try:
        with directory(path):
            return
    except FileNotFoundError:
        make_dirs(path.parent, mode)
        make_dir(path, mode)


def create_dir(path: Path, *, mode: int, uid: int = _KEEP, gid: int = _KEEP) -> None:
    """Create a directory that does not exist, with this owner and mode. Its parent is not synced."""
    with directory(path.parent) as parent:
        os.close(_create_dir(parent, path.name, mode=mode, uid=uid, gid=gid))


def create_tree(
    path: Path, files: Iterable[NewFile], *, mode: int, uid: int = _KEEP, gid: int = _KEEP
) -> None:
    """Create a directory that does not exist, with these files in it and in directories of its own, all of it synced but the name.

    Each file has its owner and mode before its first byte. All are written before the first is synced, so that the disk may take them together,
    and the directories come last.
    """
    with ExitStack() as stack, directory(path.parent) as parent:
        top = _create_dir(parent, path.name, mode=mode, uid=uid, gid=gid)
        stack.callback(os.close, top)
        directories, written = {"": top}, list[int]()
        for file in files:
            place, _, name = file.path.rpartition("/")
            if place not in directories:
                directories[place] = _create_dir(top, place, mode=mode, uid=uid, gid=gid)
                stack.callback(os.close, directories[place])
            written.append(
                _create(directories[place], name, file.data, mode=file.mode, uid=file.uid, gid=file.gid)
            )
            stack.callback(os.close, written[-1])
        for descriptor in (*written, *reversed(directories.values())):
            os.fsync(descriptor)


def publish(staged: Path, path: Path) -> None:
    """Give a staged and synced file or directory its name, on the same filesystem."""
    with directory(path.parent) as parent, directory(staged.parent) as before:
        os.rename(staged.name, path.name, src_dir_fd=before, dst_dir_fd=parent)  # noqa: TID251 - this is the place that publishes names
        os.fsync(parent)


def publish_link(link: Path, target: str) -> None:
    """Make `link` point at `target` in one step; it never dangles and is never missing in between."""
    with directory(link.parent) as parent, _replaced(parent, link.name) as temporary:
        os.symlink(target, temporary, dir_fd=parent)


def sync_dir(path: Path) -> None:
    """Make the names in a directory durable."""
    with directory(path) as descriptor:
        os.fsync(descriptor)


def remove_file(path: Path) -> None:
    """Remove a name that is not a directory; it may be missing."""
    with contextlib.suppress(FileNotFoundError), directory(path.parent) as parent:
        os.unlink(path.name, dir_fd=parent)


def remove_tree(path: Path) -> None:
    """Remove a name and, if it is a directory, what is in it; one that is not there is fine.

    A link is removed, not followed, and what is mounted below the name is left alone with an error.
    """
    with contextlib.suppress(FileNotFoundError), directory(path.parent) as parent:
        _remove(parent, path.name, path, _mount_of(parent))


def _remove(parent: int, name: str, path: Path, mount: str) -> None:
    if not stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode):
        os.unlink(name, dir_fd=parent)
        return
    descriptor = os.open(name, _ENTER, dir_fd=parent)
    try:
        if _mount_of(descriptor) != mount:
            raise OSError(errno.EBUSY, "something is mounted here, which is not removed", str(path))
        for child in os.listdir(descriptor):  # noqa: PTH208 - of a descriptor
            _remove(descriptor, child, path / child, mount)
    finally:
        os.close(descriptor)
    os.rmdir(name, dir_fd=parent)


def _mount_of(descriptor: int) -> str:
    """Return the number of the mount that a directory is reached through: a bind mount has the device of what it shows."""
    with Path(f"/proc/self/fdinfo/{descriptor}").open(encoding="ascii") as file:
        return next((line for line in file if line.startswith("mnt_id:")), "")


def _create(parent: int, name: str, data: bytes, *, mode: int, uid: int, gid: int) -> int:
    # created unreadable for others, because between open and fchmod the mode is what the umask left of this one
    descriptor = os.open(name, _CREATE, mode & 0o700, dir_fd=parent)
    try:
        _adorn(descriptor, mode=mode, uid=uid, gid=gid)
        _write_all(descriptor, data)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _create_dir(parent: int, name: str, *, mode: int, uid: int, gid: int) -> int:
    os.mkdir(name, mode & 0o700, dir_fd=parent)
    descriptor = os.open(name, _ENTER, dir_fd=parent)
    try:
        _adorn(descriptor, mode=mode, uid=uid, gid=gid)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _adorn(descriptor: int, *, mode: int, uid: int, gid: int) -> None:
    if (uid, gid) != (_KEEP, _KEEP):
        os.fchown(descriptor, uid, gid)
    os.fchmod(descriptor, mode)


@contextmanager
def _replaced(parent: int, name: str) -> Iterator[str]:
    """Lend a name beside `name`: what was made under it takes that one's place in one step, durably, or is removed after an error."""
    temporary = _beside(name)
    try:
        yield temporary
        os.replace(temporary, name, src_dir_fd=parent, dst_dir_fd=parent)  # noqa: TID251 - this is the place that publishes names
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary, dir_fd=parent)
        raise
    os.fsync(parent)


def _beside(name: str) -> str:
    """Return a name for the same directory that nobody uses; leftovers of a kill begin with a dot and end in .tmp."""
    return f".{name}.{secrets.token_hex(4)}.tmp"


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
