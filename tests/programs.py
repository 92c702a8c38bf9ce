"""Programs that tests start."""

import os
import shutil
from pathlib import Path
from typing import Final

POSTGRESQL: Final = Path("/usr/lib/postgresql")
"""Where Debian puts each version's programs."""

BUILT: Final = Path(__file__).parents[1] / "build" / "bin"
"""Where .ci/run puts what Debian does not have; first, since another program of Debian has the name of one of them."""

SERVERS: Final = (
    "/usr/sbin",
    "/usr/local/sbin",
    "/sbin",
    *map(str, sorted(POSTGRESQL.glob("*/bin"), reverse=True)),
)


def find_program(name: str) -> str | None:
    """Return a program's path, looking where Debian puts servers too, and first where the tests' own are."""
    return shutil.which(name, path=os.pathsep.join((str(BUILT), os.environ.get("PATH", ""), *SERVERS)))
