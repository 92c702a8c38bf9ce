"""Line numbers of the keys in `services.toml`, for messages: the TOML reader of the standard library has none.

Decides by a scan of headers and keys, which is enough for hand-written files. A key that the scan misses (in an
inline table, for example) has no line number. Only messages depend on it.
"""

import re
from typing import Final

Section = tuple[str | int, ...]
"""`()`, `("files",)`, `("consumer", 1)`, `("consumer", 1, "endpoint", 2)`, ..."""

_HEADER: Final = re.compile(r"\s*(\[\[?)\s*([A-Za-z0-9_.\s\"'-]+?)\s*\]\]?\s*(?:#.*)?")
_KEY: Final = re.compile(r"\s*([\"']?)([A-Za-z0-9_-]+)\1\s*=")
_LONG_STRING: Final = re.compile(r'"""|\'\'\'')


def lines_of_keys(text: str) -> dict[tuple[Section, str], int]:
    """Return the line of each section's keys, counted from 1; the key "" is the section's header."""
    found: dict[tuple[Section, str], int] = {}
    section: Section = ()
    counts: dict[Section, int] = {}
    is_inside = False
    for number, line in enumerate(text.split("\n"), 1):
        was_inside, is_inside = is_inside, is_inside ^ (len(_LONG_STRING.findall(line)) % 2 == 1)
        if was_inside:
            continue
        if header := _HEADER.fullmatch(line.rstrip("\r")):
            section = _section(header[2], counts, is_list=header[1] == "[[")
            found.setdefault((section, ""), number)
        elif key := _KEY.match(line):
            found.setdefault((section, key[2]), number)
    return found


def _section(name: str, counts: dict[Section, int], *, is_list: bool) -> Section:
    section: Section = ()
    parts = [part.strip().strip("\"'") for part in name.split(".")]
    for place, part in enumerate(parts):
        key = (*section, part)
        is_last = place == len(parts) - 1
        if is_list and is_last:
            counts[key] = counts.get(key, 0) + 1
        section = (*key, counts[key]) if key in counts else key
    return section
