"""Paths that other users cannot redirect, for a process with more rights than theirs.

Opens each component from the root directory on, without following links. A directory is trusted if root or this
process's user owns it and nobody else may write to it. A sticky directory such as /tmp may be writable by
everybody, since nobody can rename another's files there. Within trusted directories a name keeps its meaning
between check and use. Passes OSError on; `UntrustedPathError` names the directory or file and who controls it.
"""

import errno
import grp
import os
import pwd
import shlex
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

ROOT_DIRECTORY: Final = Path("/")
ROOT_UID: Final = 0
LINKS_MAX: Final = 40
"""Linux's own limit for one path (path_resolution(7))."""

_PASS: Final = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_ENTER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
"""Avoids waiting for the other end of a FIFO."""

_OTHERS_WRITE: Final = stat.S_IWGRP | stat.S_IWOTH
_NULL: Final = os.makedev(1, 3)
"""`/dev/null` (null(4))."""


class UntrustedPathError(OSError):
    """Another user controls a directory or file on the way (EPERM), or it is a link (ELOOP). `strerror` names it."""


@contextmanager
def directory(path: Path, *, trusted: Path | None = None) -> Iterator[int]:
    """Lend a directory's descriptor. Below `trusted`, if given, links are refused but owners and modes ignored.

    Raises UntrustedPathError, OSError.
    """
    descriptor = open_directory(path, trusted=trusted)
    try:
        yield descriptor
    except OSError as error:
        if isinstance(error.filename, str) and "/" not in error.filename:
            # the message for people names the path, not the descriptor
            error.filename = str(path / error.filename)
        raise
    finally:
        os.close(descriptor)


def open_directory(path: Path, *, trusted: Path | None = None) -> int:
    """Return a descriptor, which the caller closes. See `directory`."""
    names = _names(path)
    looked_at = len(names if trusted is None else _names(trusted))
    descriptor = os.open("/", _PASS if names else _ENTER)
    try:
        _check_directory(descriptor, names[:0])
        for number, name in enumerate(names, 1):
            flags = _ENTER if number == len(names) else _PASS
            try:
                further = os.open(name, flags, dir_fd=descriptor)
            except OSError as error:
                raise _no_entry(error, descriptor, names[:number]) from error
            os.close(descriptor)
            descriptor = further
            if number <= looked_at:
                _check_directory(descriptor, names[:number])
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def examine(path: Path, *, trusted: Path | None = None) -> os.stat_result:
    """Return a name's status, without following a link."""
    with directory(path.parent, trusted=trusted) as parent:
        return os.stat(path.name, dir_fd=parent, follow_symlinks=False)


def read_link(path: Path) -> str:
    """Return a link's target."""
    with directory(path.parent) as parent:
        return os.readlink(path.name, dir_fd=parent)


def names_in(path: Path, *, trusted: Path | None = None) -> list[str]:
    """Return the names in a directory, in their order."""
    with directory(path, trusted=trusted) as descriptor:
        return sorted(os.listdir(descriptor))  # noqa: PTH208 - of a descriptor


def read_file(path: Path, limit_bytes: int, *, trusted: Path | None = None) -> bytes:
    """Return a regular file's first bytes. Refuses anything else (a link, a FIFO, a device) without opening it."""
    with directory(path.parent, trusted=trusted) as parent:
        return read_in(parent, path, limit_bytes)


def read_own_file(path: Path, limit_bytes: int) -> bytes:
    """Return the first bytes of a regular file that only root and this process's user can change."""
    with directory(path.parent) as parent:
        check_file(os.stat(path.name, dir_fd=parent, follow_symlinks=False), path)
        return read_in(parent, path, limit_bytes)


def read_in(parent: int, path: Path, limit_bytes: int) -> bytes:
    """Return the first bytes of a regular file, the path's last name in an open directory."""
    _check_regular(os.stat(path.name, dir_fd=parent, follow_symlinks=False), path)
    descriptor = os.open(path.name, _READ, dir_fd=parent)
    with os.fdopen(descriptor, "rb") as file:
        _check_regular(os.fstat(descriptor), path)
        return file.read(limit_bytes)


def read_below(parent: int, path: Path, name: str, limit_bytes: int) -> bytes:
    """Return the first bytes of a regular file in an open directory or one level below.

    `path` is the open directory's path, for errors. Follows no link. Ignores owners and modes below the open
    directory.
    """
    place, _, last = name.rpartition("/")
    if not place:
        return read_in(parent, path / last, limit_bytes)
    if "/" in place:
        raise OSError(errno.EINVAL, "it is not in a directory of that", str(path / name))
    inner = os.open(place, _PASS, dir_fd=parent)
    try:
        return read_in(inner, path / name, limit_bytes)
    finally:
        os.close(inner)


def resolve(path: Path, *, must_be_trusted: bool = False) -> Path:
    """Return a path with its links resolved; missing components stay unchanged.

    Follows a link if root or this process's user made it in a trusted directory. Raises UntrustedPathError for any
    other link and, with `must_be_trusted`, for a directory on the way that is not trusted.
    """
    # works on strings: building a Path for each name takes longer than the check itself
    rest, done, links = list(reversed(_names(path))), "/", 0
    facts, distrust = os.lstat(done), None
    while rest:
        name = rest.pop()
        if name == "..":
            done = str(Path(done).parent)
            facts = os.lstat(done)
            continue
        distrust = distrust or _distrust(done, facts)
        if distrust is not None and must_be_trusted:
            raise distrust
        here = f"{done.rstrip('/')}/{name}"
        try:
            found = os.lstat(here)
        except FileNotFoundError:
            return Path(here, *reversed(rest))
        if not stat.S_ISLNK(found.st_mode):
            done, facts = here, found
            continue
        if distrust is not None:
            raise distrust
        if (links := links + 1) > LINKS_MAX:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), here)
        target = _target_of(here, found)
        rest += reversed(target.parts[1:] if target.is_absolute() else target.parts)
        done = "/" if target.is_absolute() else done
        facts = os.lstat(done)
    return Path(done)


def _target_of(link: str, facts: os.stat_result) -> Path:
    if not _is_own(facts):
        raise _untrusted(link, facts, "could change where it leads", "name that instead")
    return Path(link).readlink()


def check_unchangeable(path: Path) -> os.stat_result | None:
    """Return the real path, None if it does not exist.

    Raises UntrustedPathError if another user could change, replace or create the file.
    """
    return check_resolved(resolve(path, must_be_trusted=True))


def check_resolved(real: Path) -> os.stat_result | None:
    """Do the check of `check_unchangeable` for a path that `resolve` returned with `must_be_trusted`."""
    parent, sticky = _nearest(real.parent)
    is_shared = bool(sticky.st_mode & _OTHERS_WRITE)
    try:
        facts = real.lstat()
    except FileNotFoundError:
        if is_shared:
            raise UntrustedPathError(
                errno.EPERM,
                f"{real} is not there, and everybody may write to {parent}, who could make it; choose another path",
            ) from None
        return None
    if stat.S_ISDIR(facts.st_mode):
        if (distrust := _distrust(real, facts)) is not None:
            raise distrust
    elif not _is_empty(facts) or (is_shared and not _is_own(facts)):
        _check_own(facts, real)
    return facts


def check_file(facts: os.stat_result, path: Path) -> None:
    """Raise UntrustedPathError unless this is a regular file that no other user can change."""
    _check_regular(facts, path)
    _check_own(facts, path)


def name_of(uid: int) -> str:
    """Return an account's name for people."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


def _names(path: Path) -> tuple[str, ...]:
    """Return the names on the way from the root directory as strings; Paths would take longer than the checks."""
    return (path if path.is_absolute() else path.absolute()).parts[1:]


def _no_entry(error: OSError, parent: int, names: Sequence[str]) -> OSError:
    """Return the error to raise if the last of these names could not be opened."""
    path, name = ROOT_DIRECTORY.joinpath(*names), names[-1]
    if error.errno in {errno.ENOTDIR, errno.ELOOP}:
        facts = os.stat(name, dir_fd=parent, follow_symlinks=False)
        if stat.S_ISLNK(facts.st_mode):
            target = os.readlink(name, dir_fd=parent)
            return UntrustedPathError(
                errno.ELOOP, f"{path} is a link to {target}, which is not followed; name that instead"
            )
    # without the name relative to the descriptor, which says nothing
    return OSError(error.errno, error.strerror, str(path))


def _check_directory(descriptor: int, names: Sequence[str]) -> None:
    facts = os.fstat(descriptor)
    if not _is_trusted(facts):
        raise _untrusted_directory("/" + "/".join(names), facts)


def _is_empty(facts: os.stat_result) -> bool:
    """Whether nothing can ever be read there: a socket cannot be opened, and `/dev/null` is always empty."""
    is_null = stat.S_ISCHR(facts.st_mode) and facts.st_rdev == _NULL
    return is_null or stat.S_ISSOCK(facts.st_mode)


def _check_own(facts: os.stat_result, path: Path) -> None:
    if not _is_own(facts) or facts.st_mode & _OTHERS_WRITE:
        raise _untrusted(path, facts, "could change it", "choose another file")


def _nearest(path: Path) -> tuple[Path, os.stat_result]:
    """Return a directory and its status, or those of its nearest existing parent."""
    while True:
        try:
            return path, path.lstat()
        except FileNotFoundError:
            path = path.parent


def _distrust(path: str | Path, facts: os.stat_result) -> UntrustedPathError | None:
    return None if _is_trusted(facts) else _untrusted_directory(path, facts)


def _untrusted_directory(path: str | Path, facts: os.stat_result) -> UntrustedPathError:
    return _untrusted(path, facts, "could put a link into it", "choose another directory")


def _is_trusted(facts: os.stat_result) -> bool:
    is_shared = facts.st_mode & _OTHERS_WRITE and not facts.st_mode & stat.S_ISVTX
    return _is_own(facts) and not is_shared


def _untrusted(path: str | Path, facts: os.stat_result, risk: str, otherwise: str) -> UntrustedPathError:
    name = shlex.quote(str(path))
    if not _is_own(facts):
        why, remedy = f"belongs to {name_of(facts.st_uid)}, who", f"give it to {name_of(os.geteuid())}"
    else:
        why, remedy = f"can be written by {_writers(facts)}, who", f"run: chmod go-w {name}"
    return UntrustedPathError(errno.EPERM, f"{path} {why} {risk}; {remedy}, or {otherwise}")


def _is_own(facts: os.stat_result) -> bool:
    return facts.st_uid in {ROOT_UID, os.geteuid()}


def _writers(facts: os.stat_result) -> str:
    if facts.st_mode & stat.S_IWOTH:
        return "everybody"
    try:
        return f"group {grp.getgrgid(facts.st_gid).gr_name}"
    except KeyError:
        return f"group {facts.st_gid}"


def _check_regular(facts: os.stat_result, path: Path) -> None:
    if not stat.S_ISREG(facts.st_mode):
        raise OSError(errno.EINVAL, "it is not a regular file", str(path))
