"""Copies of files for services that cannot read the tree.

Owns only the declared paths, and of those only the last name: it neither makes nor removes directories, and a copy
that is no longer declared stays. Leaves to the caller when to write or remove a copy.
Invariant: a copy appears whole, with its owner and mode from its first byte; no path leads through a link, or
through a directory that others could replace. Each read and write checks that, not only the check beforehand.
Blocking; every function is called in a thread.
"""

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Iterable
from pathlib import Path

import structlog

from common.bundle.manifest import ENTRY_MAX_BYTES, Manifest
from common.errors import InstallError, Reason
from common.ids import digest_of
from common.runtime import durable, trusted
from nodeagent.core.drift import Drift, Seen, find_copy_drift
from nodeagent.core.services import Copy
from nodeagent.install.fault import name_fault
from nodeagent.install.leftovers import remove_half_written
from nodeagent.install.nolinks import read_without_links

log = structlog.get_logger(__name__)


def check_copies(copies: Iterable[Copy], data: Path) -> None:
    """Check that the copies can be written. Raises InstallError: TARGET_MISSING, PERMISSION, NO_SPACE, or STORAGE."""
    for copy in copies:
        try:
            _check(Path(copy.to), data)
        except OSError as error:
            raise name_fault(f"the copy {copy.to} has no place", error) from error


def try_copies(copies: Iterable[Copy]) -> None:
    """Check by trial that a file with the copy's owner can be made in its place. Raises InstallError."""
    for copy in copies:
        try:
            durable.try_file(Path(copy.to), uid=copy.uid, gid=copy.gid)
        except OSError as error:
            # without the name of the trial file, which is gone
            nameless = OSError(error.errno, error.strerror)
            raise name_fault(f"the copy {copy.to} cannot be written", nameless) from error


def write_copies(copies: Iterable[Copy], read: Callable[[str], bytes | None]) -> int:
    """Write the copies that differ; `read` gives the bytes of a file in the tree, None if it is missing.

    Returns the number written. Raises InstallError.
    """
    written = 0
    for copy in copies:
        body, path = read(copy.path), Path(copy.to)
        if body is None or inspect_copy(copy) == wanted_copy(copy, digest_of(body)):
            continue
        try:
            durable.write_file(path, body, mode=copy.mode, uid=copy.uid, gid=copy.gid)
        except OSError as error:
            raise name_fault(f"the copy {path} could not be written", error) from error
        written += 1
    return written


def remove_copies(copies: Iterable[Copy], read: Callable[[str], bytes | None]) -> None:
    """Remove the copies that match `read`: a failed attempt wrote them, and the installed generation lacks them.

    Logs those that the disk refuses to remove.
    """
    for copy in copies:
        body, path = read(copy.path), Path(copy.to)
        if body is None or inspect_copy(copy) != wanted_copy(copy, digest_of(body)):
            continue
        try:
            durable.remove_file(path)
        except OSError as error:
            wrong = name_fault(f"the copy {path} could not be removed", error)
            log.warning("disk.failed", reason=wrong.reason, message=wrong.message)


def inspect_copy(copy: Copy) -> Seen | None:
    """Return the copy on disk, None if it is missing."""
    path = Path(copy.to)
    try:
        facts = trusted.examine(path)
    except OSError:
        return None
    body = read_without_links(path, ENTRY_MAX_BYTES + 1) if stat.S_ISREG(facts.st_mode) else None
    return Seen(
        path=copy.to,
        digest=digest_of(body) if body is not None else "",
        mode=stat.S_IMODE(facts.st_mode),
        uid=facts.st_uid,
        gid=facts.st_gid,
    )


def wanted_copy(copy: Copy, digest: str) -> Seen:
    """Return the copy that should be on disk."""
    return Seen(path=copy.to, digest=digest, mode=copy.mode, uid=copy.uid, gid=copy.gid)


def drift_of_copies(copies: Iterable[Copy], manifest: Manifest) -> tuple[Drift, ...]:
    """Return every difference between the copies and the manifest."""
    entries, copies = manifest.by_path(), tuple(copies)
    wanted = {copy.to: wanted_copy(copy, entries[copy.path].digest) for copy in copies}
    return find_copy_drift(wanted, {copy.to: inspect_copy(copy) for copy in copies})


def remove_leftovers(copies: Iterable[Copy]) -> None:
    """Remove leftovers of an interrupted write beside a copy.

    An unusable place delays only its own service when the copy is due, never the agent's start.
    """
    for copy in copies:
        remove_half_written(Path(copy.to), f"beside the copy {copy.to}")


def _check(path: Path, data: Path) -> None:
    if data.resolve() in path.parents:
        raise InstallError(f"the copy {path} is in the agent's own directory", reason=Reason.TARGET_MISSING)
    try:
        with trusted.directory(path.parent) as parent:
            _check_place(parent, path)
    except FileNotFoundError as error:
        raise InstallError(
            f"there is no directory {path.parent} for the copy {path.name}; make it first",
            reason=Reason.TARGET_MISSING,
        ) from error
    except trusted.UntrustedPathError as error:
        if error.errno != errno.ELOOP:
            # only its last name, since the message names the directory
            raise name_fault(f"the copy {path.name} has no place", error) from error
        raise InstallError(
            f"the copy {path} would replace a link; name {path.parent.resolve() / path.name} instead",
            reason=Reason.TARGET_MISSING,
        ) from error


def _check_place(parent: int, path: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISREG(os.stat(path.name, dir_fd=parent, follow_symlinks=False).st_mode):
            raise InstallError(
                f"{path} is not a regular file; remove it, so that the copy can be written",
                reason=Reason.TARGET_MISSING,
            )
    facts = os.fstatvfs(parent)
    if facts.f_flag & os.ST_RDONLY or not os.access(".", os.W_OK, dir_fd=parent):
        raise InstallError(
            f"{path.parent} cannot be written; under systemd, add it to ReadWritePaths= of the agent's unit",
            reason=Reason.PERMISSION,
        )
    if facts.f_bavail * facts.f_frsize < ENTRY_MAX_BYTES // 16:
        raise InstallError(f"{path.parent} has no room for the copy {path.name}", reason=Reason.NO_SPACE)
