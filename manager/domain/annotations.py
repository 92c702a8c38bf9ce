"""Annotations: what administrators write about a certificate, for one another.

Certcast keeps and shows them and acts on none. Pure. Invariant: what `checked` returns can be shown as it is on a page, a terminal and in a log.
"""

import unicodedata
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Final

from common.errors import InvalidInputError
from common.limits import NOTE_MAX_CHARS


@dataclass(frozen=True, slots=True, kw_only=True)
class Annotations:
    """What is written about one certificate; None leaves an annotation as it is."""

    note: str | None = None

    def given(self) -> Mapping[str, str]:
        """Return those that are given."""
        return {name: text for name, text in asdict(self).items() if text is not None}

    def checked(self) -> "Annotations":
        """Return them as they are kept. Raises InvalidInputError: too long, or not to be shown as they are."""
        kept = {name: _plain(text) for name, text in self.given().items()}
        for name, text in kept.items():
            _check(name, text, max_chars=_MAX_CHARS[name])
        return Annotations(**kept)

    def differing(self, known: "Annotations") -> "Annotations":
        """Return those that differ from what is known."""
        before = known.given()
        return Annotations(
            **{name: text for name, text in self.given().items() if text != before.get(name, "")}
        )


NO_ANNOTATIONS: Final = Annotations()

ANNOTATIONS: Final = tuple(each.name for each in fields(Annotations))
"""Their names: columns of the store, and fields of a form."""

_MAX_CHARS: Final[Mapping[str, int]] = {"note": NOTE_MAX_CHARS}


def _plain(text: str) -> str:
    """Return a text as forms and editors mean it: line ends as one character, blanks as spaces, nothing around it."""
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
