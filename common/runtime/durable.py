"""Writes that survive a power cut, and names that appear whole or not at all.

The only place that publishes names. Opens directories itself, and only through paths that others cannot redirect
(`common.runtime.trusted`). Passes OSError on; the caller knows what the failure means.
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
"""Tells chown to keep an owner or group."""

_CREATE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
_LOCK: Final = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_ENTER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True, kw_only=True)
class NewFile:
    """A file to be made. `path` is relative to the tree's directory: a name, or a directory and a name."""

    path: str
    data: bytes = field(repr=False)
    mode: int
    uid: int
    gid: int


def write_file(path: Path, data: bytes, *, mode: int, uid: int = _KEEP, gid: int = _KEEP) -> None:
    """Replace or create a file. Readers see the old content or the new, always with the right owner and mode."""
    with directory(path.parent) as parent:
        write_in(parent, path.name, data, mode=mode, uid=uid, gid=gid)


def write_in(parent: int, name: str, data: bytes, *, mode: int, uid: int = _KEEP, gid: int = _KEEP) -> None:
    """Replace or create a file, as `write_file` does, in an open directory."""
    with _replaced(parent, name) as temporary:
        create_in(parent, temporary, data, mode=mode, uid=uid, gid=gid)


def try_file(path: Path, *, uid: int = _KEEP, gid: int = _KEEP) -> None:
    """Check that a file can be made here with this owner, by making and removing one beside it."""
    temporary = _beside(path.name)
    with directory(path.parent) as parent:
        try:
            create_in(parent, temporary, b"", mode=0o600, uid=uid, gid=gid)
        finally:
            with contextlib.suppress(OSError):
                os.unlink(temporary, dir_fd=parent)


def create_file(path: Path, data: bytes, *, mode: int, uid: int = _KEEP, gid: int = _KEEP) -> None:
    """Create a new file, with its final owner and mode before its first byte, and sync its content.

    Does not sync the directory: a staged tree's directories are synced once at the end.
    """
    with directory(path.parent) as parent:
        create_in(parent, path.name, data, mode=mode, uid=uid, gid=gid)


def create_in(parent: int, name: str, data: bytes, *, mode: int, uid: int = _KEEP, gid: int = _KEEP) -> None:
    """Create a file, as `create_file` does, in an open directory."""
    descriptor = _create(parent, name, data, mode=mode, uid=uid, gid=gid)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def open_lock(path: Path) -> int:
    """Return a descriptor of a regular file to lock, made if missing; the caller closes it."""
    with directory(path.parent) as parent:
        descriptor = os.open(path.name, _LOCK, 0o600, dir_fd=parent)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is not a regular file", str(path))
    return descriptor


def make_dir(path: Path, mode: int) -> None:
    """Create a directory with this mode whatever the umask, and sync its parent. An existing one is unchanged."""
    with directory(path.parent) as parent:
        try:
            os.close(_create_dir(parent, path.name, mode=mode, uid=_KEEP, gid=_KEEP))
        except FileExistsError:
            if not stat.S_ISDIR(os.stat(path.name, dir_fd=parent, follow_symlinks=False).st_mode):
                raise
            return
        os.fsync(parent)


def make_dirs(path: Path, mode: int) -> None:
    """Create a directory and its missing parents, each as `make_dir` does."""
    try:
        with directory(path):
            return
    except FileNotFoundError:
        make_dirs(path.parent, mode)
        make_dir(path, mode)


def create_dir(path: Path, *, mode: int, uid: int = _KEEP, gid: int = _KEEP) -> None:
    """Create a new directory with this owner and mode. Does not sync its parent."""
    with directory(path.parent) as parent:
        os.close(_create_dir(parent, path.name, mode=mode, uid=uid, gid=gid))


def create_tree(
    path: Path, files: Iterable[NewFile], *, mode: int, uid: int = _KEEP, gid: int = _KEEP
) -> None:
    """Create a new directory with these files, in it and in its own directories. Syncs everything but its name.

    Each file gets its owner and mode before its first byte. All files are written before the first is synced, so
    the disk may take them together; the directories are synced last.
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
    """Give a staged and synced file or directory its final name, on the same filesystem."""
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
    """Remove a file or a directory with its content; a missing name is fine.

    Removes links without following them. Leaves anything mounted below the name alone, with an error.
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
    """Return the number of a directory's mount. The device does not tell: a bind mount shares its source's device."""
    with Path(f"/proc/self/fdinfo/{descriptor}").open(encoding="ascii") as file:
        return next((line for line in file if line.startswith("mnt_id:")), "")


def _create(parent: int, name: str, data: bytes, *, mode: int, uid: int, gid: int) -> int:
    # created unreadable for others: between open and fchmod its mode is this one less the umask
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
    """Lend a temporary name beside `name`. Its file then replaces `name` in one durable step.

    After an error it is removed instead.
    """
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
    """Return an unused name in the same directory. Leftovers of a kill begin with a dot and end in .tmp."""
    return f".{name}.{secrets.token_hex(4)}.tmp"


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
