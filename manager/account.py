"""Account of a store's owner: root's commands run as this account, so that the service can read their files.

Decides when root becomes the store's owner and when a command is refused. Invariant: root writes nothing into
a store that another account owns.
"""

import contextlib
import os
import pwd
import shlex
import stat
import sys
from pathlib import Path
from typing import Final

from common.errors import ConflictError, NotFoundError, Reason, StorageError
from common.runtime import durable, trusted

ACCOUNT: Final = "certcast"
"""The account that systemd/sysusers.d makes and systemd/certcast-manager.service uses."""

NEEDED: Final = (Path(sys.executable), Path(__file__), Path(os.__file__))
"""A file the store's owner must be able to read, because the rest of the program is imported with the owner's
rights.
"""


def real_directory(data: Path) -> Path:
    """Return the store's directory without links; no link below it is followed.

    Raises StorageError if other accounts could change it.
    """
    try:
        return trusted.resolve(data)
    except OSError as error:
        raise _refused(data, error) from error


def become_owner(data: Path) -> None:
    """Continue as the store's owner if this process is root.

    Raises ConflictError if it is any other account, StorageError.
    """
    try:
        # never of a link's target: its creator could otherwise choose the account root takes on
        found = _examined(data)
    except FileNotFoundError:
        return
    except OSError as error:
        raise _refused(data, error) from error
    me = os.geteuid()
    if found.st_uid == me:
        _check_writable(data)
        return
    if me != 0:
        raise ConflictError(
            f"{data} belongs to {trusted.name_of(found.st_uid)}, and this is {trusted.name_of(me)}: run it as root or as {trusted.name_of(found.st_uid)}"
        )
    _become(found.st_uid, found.st_gid, data)
    _check_writable(data)


def refuse_foreign(data: Path) -> None:
    """Refuse to serve another account's store. Raises ConflictError, StorageError."""
    try:
        owner = _examined(data).st_uid
    except FileNotFoundError:
        return  # opening it reports the reason
    except OSError as error:
        raise _refused(data, error) from error
    if owner != os.geteuid():
        raise ConflictError(
            f"{data} belongs to {trusted.name_of(owner)}, so {trusted.name_of(os.geteuid())} does not serve it. "
            "Start the service: systemctl start certcast-manager"
        )
    _check_writable(data)


def give_to_account(data: Path) -> None:
    """Create the store's directory for the service's account, if that exists and root creates it.

    Raises StorageError.
    """
    if os.geteuid() != 0 or data.exists():
        return
    try:
        account = pwd.getpwnam(ACCOUNT)
    except KeyError:
        return
    try:
        durable.make_dirs(data.parent, 0o755)
        durable.create_dir(data, mode=0o700, uid=account.pw_uid, gid=account.pw_gid)
        durable.sync_dir(data.parent)
    except OSError as error:
        raise _refused(data, error) from error


def make_for_owner(directory: Path, data: Path) -> None:
    """Create a directory for the owner of a store if it does not exist yet.

    Raises NotFoundError if there is no store, ConflictError if another account owns the directory,
    StorageError.
    """
    try:
        owner = trusted.examine(data, trusted=trusted.ROOT_DIRECTORY)
    except FileNotFoundError as error:
        raise NotFoundError(f"there is no store in {data}") from error
    except OSError as error:
        raise _refused(data, error) from error
    try:
        if os.geteuid() == 0:
            durable.create_dir(directory, mode=0o700, uid=owner.st_uid, gid=owner.st_gid)
        else:
            durable.create_dir(directory, mode=0o700)
        durable.sync_dir(directory.parent)
    except FileExistsError:
        _check_given(directory, owner.st_uid)
    except OSError as error:
        raise _refused(directory, error) from error


def check_reachable(directory: Path) -> None:
    """Check that the current account can use a directory. Raises StorageError."""
    if not os.access(directory, os.R_OK | os.W_OK | os.X_OK):
        raise StorageError(
            f"{directory} cannot be reached by {trusted.name_of(os.geteuid())}, whose store it is; choose a directory in a place that everybody "
            "can enter, such as /var/backups",
            reason=Reason.PERMISSION,
        )


def _check_given(directory: Path, owner: int) -> None:
    try:
        found = trusted.examine(directory)
    except OSError as error:
        raise _refused(directory, error) from error
    if not stat.S_ISDIR(found.st_mode):
        raise _not_a_directory(directory)
    if found.st_uid != owner or stat.S_IMODE(found.st_mode) & 0o077:
        raise ConflictError(
            f"{directory} is not {trusted.name_of(owner)}'s alone; name a directory that does not exist yet, or run: "
            f"chown {trusted.name_of(owner)} {shlex.quote(str(directory))} && chmod 700 {shlex.quote(str(directory))}"
        )


def _become(uid: int, gid: int, data: Path) -> None:
    try:
        account = pwd.getpwuid(uid)
    except KeyError:
        os.setgroups([])
    else:
        gid = account.pw_gid
        os.initgroups(account.pw_name, gid)
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    for path in NEEDED:
        if not os.access(path, os.R_OK):
            raise ConflictError(
                f"{data} belongs to {trusted.name_of(uid)}, who cannot read {path}: install Certcast where everybody can read it, "
                "for example in /opt/certcast (a umask of 077 hides it: use 022), or use an account's own store"
            )


def _check_writable(data: Path) -> None:
    try:
        with trusted.directory(data):
            pass
    except trusted.UntrustedPathError as error:
        raise _refused(data, error) from error
    except OSError:
        pass  # the following code reports the reason
    if os.access(data, os.R_OK | os.W_OK | os.X_OK):
        return
    why = f"cannot be written by {trusted.name_of(os.geteuid())}"
    with contextlib.suppress(OSError):  # where its parent cannot be entered
        if os.statvfs(data).f_flag & os.ST_RDONLY:
            why = "is on a filesystem that is read-only"
    raise StorageError(f"{data} {why}", reason=Reason.PERMISSION)


def _examined(data: Path) -> os.stat_result:
    """Return the status of a store's directory. Raises ConflictError if it is no directory, OSError."""
    found = trusted.examine(data, trusted=trusted.ROOT_DIRECTORY)
    if not stat.S_ISDIR(found.st_mode):
        raise _not_a_directory(data)
    return found


def _not_a_directory(path: Path) -> ConflictError:
    return ConflictError(f"{path} is not a directory; choose another name")


def _refused(data: Path, error: OSError) -> StorageError:
    return StorageError(f"{data} cannot be used: {error.strerror}", reason=Reason.PERMISSION)
