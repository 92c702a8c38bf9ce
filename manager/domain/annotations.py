"""Annotations: texts that administrators write about a certificate for each other.

Pure. Certcast stores and shows them, but does not use them. Invariant: `checked` annotations can be shown
unchanged on a page, on a terminal and in a log.
"""

import unicodedata
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Final

from common.errors import InvalidInputError
from common.limits import NOTE_MAX_CHARS


@dataclass(frozen=True, slots=True, kw_only=True)
class Annotations:
    """The annotations of one certificate; None leaves one unchanged."""

    note: str | None = None

    def given(self) -> Mapping[str, str]:
        """Return the given ones by name."""
        return {name: text for name, text in asdict(self).items() if text is not None}

    def checked(self) -> "Annotations":
        """Return them in their stored form. Raises InvalidInputError: too long, or with unprintable characters."""
        kept = {name: _plain(text) for name, text in self.given().items()}
        for name, text in kept.items():
            _check(name, text, max_chars=_MAX_CHARS[name])
        return Annotations(**kept)

    def differing(self, known: "Annotations") -> "Annotations":
        """Return those that differ from the known ones."""
        before = known.given()
        return Annotations(
            **{name: text for name, text in self.given().items() if text != before.get(name, "")}
        )


NO_ANNOTATIONS: Final = Annotations()

ANNOTATIONS: Final = tuple(each.name for each in fields(Annotations))
"""Their names: columns of the store, and fields of a form."""

_MAX_CHARS: Final[Mapping[str, int]] = {"note": NOTE_MAX_CHARS}


def _plain(text: str) -> str:
    """Return a normalised text: one character per line end, spaces for blanks, and stripped."""
    lines = text.replace("\r\n", "\n").strip()
    return "".join(" " if unicodedata.category(char) == "Zs" else char for char in lines)


def _check(name: str, text: str, *, max_chars: int) -> None:
    if len(text) > max_chars:
        raise InvalidInputError(name, f"the {name} has {len(text):,} characters; {max_chars:,} are the most")
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.isprintable():
            code = next(f"U+{ord(char):04X}" for char in line if not char.isprintable())
            raise InvalidInputError(
                name, f"the {name} has a character in line {number} that cannot be shown: {code}"
            )
