"""Reads of regular files without following links.

`common.runtime.regular_file` follows links, for files named in a configuration.
"""

from pathlib import Path

from common.runtime import trusted


def read_without_links(path: Path, limit_bytes: int, *, base: Path | None = None) -> bytes | None:
    """Return a regular file's first bytes, None for anything else. Follows no link on the way.

    Below `base`, if given, the owners and modes of directories are the caller's responsibility.
    """
    try:
        return trusted.read_file(path, limit_bytes, trusted=base)
    except OSError:
        return None
