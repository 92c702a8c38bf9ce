"""Files that a kill left half-written beside those that they were to become.

Blocking; call it in a thread.
"""

import fnmatch
from pathlib import Path
from typing import Final

import structlog

from common.runtime import durable, trusted
from nodeagent.install.fault import name_fault

log = structlog.get_logger(__name__)

_HALF_WRITTEN: Final = "????????.tmp"
"""How `common.runtime.durable` names them, behind the file's own name."""


def remove_half_written(path: Path, owner: str) -> None:
    """Remove what was to become `path`. That of `owner` which cannot be removed is said in the log, and holds up nothing."""
    try:
        for name in fnmatch.filter(trusted.names_in(path.parent), f".{path.name}.{_HALF_WRITTEN}"):
            durable.remove_file(path.with_name(name))
    except OSError as error:
        wrong = name_fault(f"leftovers {owner} could not be removed", error)
        log.warning("disk.failed", reason=wrong.reason, message=wrong.message)
