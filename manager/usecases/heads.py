"""Signed heads of the audit log: logging them, keeping the last one near the store, appending to a file.

They are evidence, so this module's logger passes them at any configured log level (`always_tell`).
"""

import contextlib
import logging
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import structlog

from common.errors import InvalidInputError
from common.runtime import durable
from common.runtime.regular_file import NotRegularError, open_regular
from manager.store.chain import SignedHead, parse_signed_head

log = structlog.get_logger(__name__)


WITNESS: Final = "audit-head"
"""File next to the database with the last shipped head."""

COMPARED_BYTES: Final = 1024 * 1024
"""Size of the end of a head file that is compared with the log: some 5,000 heads, which takes about a second."""


def always_tell() -> None:
    """Log heads at any level; call this after the log has been configured."""
    logging.getLogger(__name__).setLevel(logging.INFO)


def tell(signed: SignedHead) -> None:
    log.info("audit.extended", head=signed.text, count=signed.head.count)


def append(file: Path, signed: SignedHead) -> None:
    """Append a line; return when it is on disk.

    The file may be append-only (chattr +a).
    """
    moment = datetime.fromtimestamp(signed.at_s, UTC).isoformat()
    descriptor = open_regular(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW)
    try:
        os.write(descriptor, f"{moment} {signed.text}\n".encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def keep(file: Path, signed: SignedHead) -> None:
    """Replace the stored head; it is on disk when this returns."""
    durable.write_file(file, f"{signed.text}\n".encode(), mode=0o600)


def read(file: Path) -> Sequence[SignedHead]:
    """Return the last heads of a file, the oldest first; none if the file does not exist.

    Other lines are skipped.
    """
    try:
        descriptor = open_regular(file, os.O_RDONLY | os.O_NOFOLLOW)
    except (FileNotFoundError, NotRegularError):
        return []  # appending will report the error
    with os.fdopen(descriptor, "rb") as opened:
        opened.seek(max(0, os.fstat(descriptor).st_size - COMPARED_BYTES))
        lines = opened.read(COMPARED_BYTES).decode(errors="replace").splitlines()
    found = []
    for line in lines:
        with contextlib.suppress(InvalidInputError):
            found.append(parse_signed_head(line))
    return found
