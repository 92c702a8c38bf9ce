"""Differences between two administrators' texts, line by line.

Pure. Invariant: lines common to both are omitted, except for a little context.
"""

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

AROUND: Final = 2
"""How many lines of context a difference has."""

LINES_MAX: Final = 400
"""How many lines a page shows."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line: only in the first text, only in the second, in both, or a gap."""

    kind: Literal["theirs", "yours", "both", "gap"]
    text: str


@dataclass(frozen=True, slots=True)
class FieldDifference:
    """The differences in one field."""

    field: str
    lines: Sequence[Line]


def differences(fields: Iterable[tuple[str, str, str]]) -> list[FieldDifference]:
    """Compare fields (name, theirs, yours); return those that differ."""
    return [
        FieldDifference(name, _lines(theirs, yours))
        for name, theirs, yours in fields
        if theirs.strip() != yours.strip()
    ]


def _lines(theirs: str, yours: str) -> list[Line]:
    found: list[Line] = []
    compared = difflib.unified_diff(
        theirs.strip().splitlines(), yours.strip().splitlines(), n=AROUND, lineterm=""
    )
    for number, line in enumerate(compared):
        if number < 2:  # the names of the two files
            continue
        mark, text = line[:1], line[1:]
        match mark:
            case "-":
                found.append(Line("theirs", text))
            case "+":
                found.append(Line("yours", text))
            case "@":
                found.append(Line("gap", ""))
            case _:
                found.append(Line("both", text))
    return found[:LINES_MAX]
