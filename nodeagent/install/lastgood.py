"""The last `services.toml` that could be used, kept beside the journal for a start on which the file itself cannot be.

Owns one file. Invariant: what is read back is what was kept, byte by byte; damage is as if there were none.
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
    """Keep the text, unless it is what is kept. A disk that refuses is logged: it costs a later start, nothing now."""
    if read_last_good(data) == text:
        return
    body = text.encode()
    try:
        durable.write_file(data / FILE, _HEADER + digest_of(body).encode() + b"\n" + body, mode=0o600)
    except OSError as error:
        wrong = name_fault("the services in use could not be saved", error)
        log.warning("disk.failed", reason=wrong.reason, message=wrong.message)


def read_last_good(data: Path) -> str | None:
    """Return what was kept, None if nothing was or it is damaged."""
    raw = read_without_links(data / FILE, FILE_MAX_BYTES + 256)
    if raw is None:
        return None
    header, _, body = raw.partition(b"\n")
    if header != _HEADER + digest_of(body).encode():
        return None
    return body.decode(errors="replace")
