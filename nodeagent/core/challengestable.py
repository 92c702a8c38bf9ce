"""The table `[challenges]` of `services.toml`: how this node answers a CA that asks it over port 80.

Decides which values are valid. Leaves to the shell whether the directory is writable and the port is free.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from nodeagent.core.mistakes import Mistakes
from nodeagent.core.paths import is_plain_path
from nodeagent.core.services import ChallengePlace

KEYS: Final = frozenset({"directory", "listen"})

_LISTEN: Final = re.compile(r"(?:\[([0-9A-Fa-f:.]{2,45})\]|([A-Za-z0-9._-]{1,253})):([0-9]{1,5})")


def read_challenges(table: Mapping[str, Any], mistakes: Mistakes) -> ChallengePlace | None:
    """Return the table's values; None if it is missing or has a mistake, which is noted."""
    given = table.get("challenges")
    if given is None:
        return None
    if not isinstance(given, dict):
        mistakes.reject("challenges", given, "must be a table")
        return None
    before = len(mistakes.found)
    mistakes.enter("challenges.", ("challenges",))
    mistakes.check_keys("challenges.", given, KEYS)
    directory, listen = given.get("directory"), given.get("listen")
    if (directory is None) == (listen is None):
        mistakes.note("challenges", "it must have one of directory and listen, and not both")
        return None
    place = _directory(directory, mistakes) if listen is None else _port(listen, mistakes)
    return place if len(mistakes.found) == before else None


def _directory(given: object, mistakes: Mistakes) -> ChallengePlace | None:
    if isinstance(given, str) and is_plain_path(given):
        return ChallengePlace(directory=given)
    mistakes.reject(
        "challenges.directory", given, "must be a directory's absolute path without '..', '//' or a NUL"
    )
    return None


def _port(given: object, mistakes: Mistakes) -> ChallengePlace | None:
    found = _LISTEN.fullmatch(given) if isinstance(given, str) else None
    if found is None or not 0 < int(found[3]) < 65536:
        mistakes.reject(
            "challenges.listen", given, 'must be an address and a port, such as "0.0.0.0:80" or "[::]:80"'
        )
        return None
    return ChallengePlace(listen=(found[1] or found[2], int(found[3])))
