"""Programs that tests start."""

import os
import shutil
from pathlib import Path
from typing import Final

POSTGRESQL: Final = Path("/usr/lib/postgresql")
"""Where Debian puts each version's programs."""

SERVERS: Final = (
    "/usr/sbin",
    "/usr/local/sbin",
    "/sbin",
    *map(str, sorted(POSTGRESQL.glob("*/bin"), reverse=True)),
)


def find_program(name: str) -> str | None:
    """Return a program's path, looking where Debian puts servers too."""
    return shutil.which(name, path=os.pathsep.join((os.environ.get("PATH", ""), *SERVERS)))
