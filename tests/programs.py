"""Programs that tests start."""

import os
import shutil
from pathlib import Path
from typing import Final

POSTGRESQL: Final = Path("/usr/lib/postgresql")
"""Debian's directory for each version's programs."""

BUILT: Final = Path(__file__).parents[1] / "build" / "bin"
"""Programs from .ci/run that Debian lacks; searched first, because one shares a Debian program's name."""

SERVERS: Final = (
    "/usr/sbin",
    "/usr/local/sbin",
    "/sbin",
    *map(str, sorted(POSTGRESQL.glob("*/bin"), reverse=True)),
)


def find_program(name: str) -> str | None:
    """Return a program's path; searches the tests' own programs first, and Debian's directories of servers too."""
    return shutil.which(name, path=os.pathsep.join((str(BUILT), os.environ.get("PATH", ""), *SERVERS)))
