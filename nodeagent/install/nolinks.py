"""Reads of regular files below no link, and of nothing that only looks like one; `common.runtime.regular_file` follows links, for files that people configured."""

from pathlib import Path

from common.runtime import trusted


def read_without_links(path: Path, limit_bytes: int, *, base: Path | None = None) -> bytes | None:
    """Return a regular file's first bytes, None for anything else; no link on the way is followed.

    Below `base`, if it is given, owners and modes of directories are the caller's affair.
    """
    try:
        return trusted.read_file(path, limit_bytes, trusted=base)
    except OSError:
        return None
