"""Likeness of names: which of them people take for one another where an audit log or a list shows them.

Decides for users, programs, roles and the names of nodes. Pure. Leaves what was there before: only a new name is compared.
"""

import re
import unicodedata
from collections.abc import Mapping
from typing import Final

from common.errors import ConflictError

_UNSEEN: Final = re.compile("[\u115f\u1160\u17b4\u17b5\ufe00-\ufe0f]")
"""Fillers and variation selectors: letters and marks by their category, and never seen (Unicode's Default_Ignorable_Code_Point)."""


def likeness(name: str) -> str:
    """Return what is the same for names that look alike: without case, compatibility forms, what is not seen, and spaces and dots at the end."""
    if name.isascii() and name.isprintable():
        return " ".join(name.lower().split()).rstrip(". ")
    # as Unicode's identifiers are compared (UAX #31, NFKC_Casefold)
    folded = _UNSEEN.sub("", unicodedata.normalize("NFKC", name).casefold())
    seen = "".join(
        char
        for char in unicodedata.normalize("NFKC", folded)
        if unicodedata.category(char) not in {"Cc", "Cf"}
    )
    return " ".join(seen.split()).rstrip(". ")


def check_name_free(kind: str, name: str, names: Mapping[int, str], *, own: int | None = None) -> None:
    """Refuse a name for an object of some kind where another has it, or one like it; `names` are there by id, `own` is the object's.

    One that keeps its name is not asked again: there may be others like it from before. Raises ConflictError.
    """
    if own is not None and names.get(own) == name:
        return
    wanted = likeness(name)
    for number, other in names.items():
        if number == own or likeness(other) != wanted:
            continue
        if other == name:
            raise ConflictError(f"a {kind} '{name}' already exists")
        raise ConflictError(
            f"a {kind} '{other}' already exists, and '{name}' looks like it; choose another name"
        )
