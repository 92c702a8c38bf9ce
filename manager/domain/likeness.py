"""Likeness of names: which of them people take for one another where an audit log or a list shows them.

Decides for users, programs, roles and the names of nodes. Pure. Leaves what was there before: only a new name is compared.
"""

import re
import unicodedata
from collections.abc import Mapping
from typing import Final

from common.errors import ConflictError

_UNSEEN: Final = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0"
    "\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
"""Whatever is never drawn (Unicode's Default_Ignorable_Code_Point): by their categories letters, marks, formats and not assigned."""

_BLANK: Final = re.compile("\u2800")
"""Drawn as a space and none by its category: the Braille pattern without a dot."""


def likeness(name: str) -> str:
    """Return what is the same for names that look alike: without case, compatibility forms, what is not seen, and spaces and dots at the end."""
    if name.isascii() and name.isprintable():
        return " ".join(name.lower().split()).rstrip(". ")
    # as Unicode's identifiers are compared (UAX #31, NFKC_Casefold); what is not seen goes first, or it keeps a letter from its accent
    visible = _BLANK.sub(" ", _without_unseen(unicodedata.normalize("NFKC", name)))
    return " ".join(unicodedata.normalize("NFKC", visible.casefold()).split()).rstrip(". ")


def _without_unseen(name: str) -> str:
    return "".join(char for char in _UNSEEN.sub("", name) if unicodedata.category(char) not in {"Cc", "Cf"})


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
