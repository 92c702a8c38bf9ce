"""The last valid `services.toml`, kept beside the journal for a start at which the file itself is invalid.

Owns one file. Invariant: the text read is the text kept, byte by byte; a damaged file counts as missing.
"""

from pathlib import Path
from typing import Final

import structlog

from common.ids import digest_of
from common.runtime import durable
from nodeagent.core.servicesfile import FILE_MAX_BYTES
from nodeagent.install.fault import name_fault
from nodeagent.install.nolinks import read_without_links

log = structlog.get_logger(__name__)

FILE: Final = "services.last-good"
_HEADER: Final = b"sha256 "


def keep_last_good(data: Path, text: str) -> None:
    """Keep the text unless it is already kept. Logs a disk error, since it matters only at a later start."""
    if read_last_good(data) == text:
        return
    body = text.encode()
    try:
        durable.write_file(data / FILE, _HEADER + digest_of(body).encode() + b"\n" + body, mode=0o600)
    except OSError as error:
        wrong = name_fault("the services in use could not be saved", error)
        log.warning("disk.failed", reason=wrong.reason, message=wrong.message)


def read_last_good(data: Path) -> str | None:
    """Return the text kept, None if it is missing or damaged."""
    raw = read_without_links(data / FILE, FILE_MAX_BYTES + 256)
    if raw is None:
        return None
    header, _, body = raw.partition(b"\n")
    if header != _HEADER + digest_of(body).encode():
        return None
    return body.decode(errors="replace")
