"""Signed heads of the audit log: telling them to the journal, keeping the last one beside the store, and adding them to a file.

They are evidence, so this module's logger lets them pass whatever level the settings choose (`always_tell`).
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
"""The file beside the database that has the last head which was shipped."""

COMPARED_BYTES: Final = 1024 * 1024
"""Of a file of heads, the end that is compared with the log: some 5,000 of them, which takes about a second."""


def always_tell() -> None:
    """Log heads whatever the level is; to be called when the log has been set up."""
    logging.getLogger(__name__).setLevel(logging.INFO)


def tell(signed: SignedHead) -> None:
    log.info("audit.extended", head=signed.text, count=signed.head.count)


def append(file: Path, signed: SignedHead) -> None:
    """Add a line, and return when it is on disk. The file may be one that its owner made append-only (chattr +a)."""
    moment = datetime.fromtimestamp(signed.at_s, UTC).isoformat()
    descriptor = open_regular(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW)
    try:
        os.write(descriptor, f"{moment} {signed.text}\n".encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def keep(file: Path, signed: SignedHead) -> None:
    """Put a head in the place of the one that was kept before, on disk when this returns."""
    durable.write_file(file, f"{signed.text}\n".encode(), mode=0o600)


def read(file: Path) -> Sequence[SignedHead]:
    """Return the last heads that a file has, the oldest first; none where there is no such file. What is not a head is passed over."""
    try:
        descriptor = open_regular(file, os.O_RDONLY | os.O_NOFOLLOW)
    except (FileNotFoundError, NotRegularError):
        return []  # adding to it says what it is
    with os.fdopen(descriptor, "rb") as opened:
        opened.seek(max(0, os.fstat(descriptor).st_size - COMPARED_BYTES))
        lines = opened.read(COMPARED_BYTES).decode(errors="replace").splitlines()
    found = []
    for line in lines:
        with contextlib.suppress(InvalidInputError):
            found.append(parse_signed_head(line))
    return found
