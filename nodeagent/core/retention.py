"""Names of generation directories, and which of them may be removed.

Decides by name and age. Invariant: the live, previous and target directories are never removed, the three newest
stay, and a directory is removed only after a grace period, since a service may still be reading it.
"""

import re
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Final

KEEP: Final = 3
"""Design: keep at least three generations."""

GRACE_S: Final = 3600.0
"""How long an unneeded directory stays after its last change."""

_NAME = re.compile(r"(\d{1,16})-(\d{6,16})(?:\.(\d{1,6}))?")


def directory_name(epoch: int, generation: int, copy: int = 0) -> str:
    """Return the name of a generation's directory. `copy` counts how often it was laid out again after damage."""
    return f"{epoch}-{generation:06d}" + (f".{copy}" if copy else "")


def directory_order(name: str) -> tuple[int, int, int] | None:
    """Return the sort key of a name, None if it is not a generation's."""
    found = _NAME.fullmatch(name)
    return (int(found[1]), int(found[2]), int(found[3] or 0)) if found else None


def next_copy(names: AbstractSet[str], epoch: int, generation: int) -> str:
    """Return the first name for this generation that no directory has."""
    copy = 0
    while (name := directory_name(epoch, generation, copy)) in names:
        copy += 1
    return name


def removable(
    touched_s: Mapping[str, float], *, needed: AbstractSet[str], now_s: float, keep: int = KEEP
) -> tuple[str, ...]:
    """Return the directories (name -> unix seconds of its last change) to remove, oldest first.

    `needed` lists the live, previous and target ones. Names that are not a generation's stay.
    """
    ordered = sorted((order, name) for name in touched_s if (order := directory_order(name)) is not None)
    names = [name for _, name in ordered]
    newest = set(names[-keep:]) if keep else set()
    return tuple(
        name
        for name in names
        if name not in newest and name not in needed and now_s - touched_s[name] > GRACE_S
    )
