"""Disk errors as InstallErrors with stable reasons."""

import errno
from typing import Final

from common.errors import InstallError, Reason

_REASONS: Final = {
    errno.ENOSPC: Reason.NO_SPACE,
    errno.EDQUOT: Reason.NO_SPACE,
    errno.EACCES: Reason.PERMISSION,
    errno.EPERM: Reason.PERMISSION,
    errno.EROFS: Reason.PERMISSION,
    errno.EXDEV: Reason.CROSS_DEVICE,
    errno.ENOENT: Reason.TARGET_MISSING,
    errno.ENOTDIR: Reason.TARGET_MISSING,
    errno.ELOOP: Reason.TARGET_MISSING,
}


def name_fault(what: str, error: OSError) -> InstallError:
    """Return a disk error's InstallError: NO_SPACE, PERMISSION, CROSS_DEVICE, TARGET_MISSING, or STORAGE."""
    reason = _REASONS.get(error.errno or 0, Reason.STORAGE)
    where = f" ({error.filename})" if error.filename else ""
    return InstallError(f"{what}: {error.strerror or error}{where}", reason=reason)
