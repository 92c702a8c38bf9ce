"""Likeness of names: which names people could confuse in an audit log or a list.

Pure. Applies to the names of users, programs, roles and nodes. Only new names are compared; existing ones
stay.
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
"""Invisible characters (Unicode's Default_Ignorable_Code_Point): letters, marks, formats and unassigned ones."""

_BLANK: Final = re.compile("\u2800")
"""A character drawn as a space without that category: the Braille pattern without a dot."""


def likeness(name: str) -> str:
    """Return a key that is equal for names that look alike.

    It ignores case, compatibility forms, invisible characters, and spaces and dots at the end.
    """
    if name.isascii() and name.isprintable():
        return " ".join(name.lower().split()).rstrip(". ")
    # as Unicode compares identifiers (UAX #31, NFKC_Casefold); invisible characters go first, because one could
    # separate a letter from its accent
    visible = _BLANK.sub(" ", _without_unseen(unicodedata.normalize("NFKC", name)))
    return " ".join(unicodedata.normalize("NFKC", visible.casefold()).split()).rstrip(". ")


def _without_unseen(name: str) -> str:
    return "".join(char for char in _UNSEEN.sub("", name) if unicodedata.category(char) not in {"Cc", "Cf"})


def check_name_free(kind: str, name: str, names: Mapping[int, str], *, own: int | None = None) -> None:
    """Refuse a name that equals or looks like another object's. Raises ConflictError.

    `names` are the existing names by id, `own` is this object's id. An unchanged name is accepted, because
    similar names may exist from before this check.
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
