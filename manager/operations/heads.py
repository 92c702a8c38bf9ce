"""Signed heads of the audit log: telling them to the journal, and adding them to a file.

They are evidence, so this module's logger lets them pass whatever level the settings choose (`always_tell`).
"""

import logging
import os
from datetime import UTC, datetime
from pathlib import Path

import structlog

from manager.store.chain import SignedHead

log = structlog.get_logger(__name__)


def always_tell() -> None:
    """Let heads into the log at every level; to be called when the log has been set up."""
    logging.getLogger(__name__).setLevel(logging.INFO)


def tell(signed: SignedHead) -> None:
    """Log a head."""
    log.info("audit.extended", head=signed.text, count=signed.head.count)


def append(file: Path, signed: SignedHead) -> None:
    """Add a line, and return when it is on disk. The file may be one that its owner made append-only (chattr +a)."""
    moment = datetime.fromtimestamp(signed.at_s, UTC).isoformat()
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NOCTTY
    descriptor = os.open(file, flags, 0o600)
    try:
        os.write(descriptor, f"{moment} {signed.text}\n".encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
