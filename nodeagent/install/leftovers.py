"""Half-written files that a kill left beside their targets.

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
"""The suffix that `common.runtime.durable` appends to the file's own name."""


def remove_half_written(path: Path, owner: str) -> None:
    """Remove half-written versions of `path`. Logs a failure under the name of `owner` and continues."""
    try:
        for name in fnmatch.filter(trusted.names_in(path.parent), f".{path.name}.{_HALF_WRITTEN}"):
            durable.remove_file(path.with_name(name))
    except OSError as error:
        wrong = name_fault(f"leftovers {owner} could not be removed", error)
        log.warning("disk.failed", reason=wrong.reason, message=wrong.message)
