"""Files and programs that a command's words name, whatever program reads them.

No list of shells, languages, wrappers (`timeout`, `env`) and their options could ever be complete, so none is kept. Each word is
held to an alphabet in which no language that we know can put a name together from pieces: no quotes, variables, patterns,
brackets, operators or escapes, no `..`, and no path in a word with spaces. What is left stands there as it is meant, and each part of
it that may be a path or a program's name is taken for one.
Invariant: errs by naming too much, or by refusing.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final

SEPARATORS_MAX: Final = 32
"""In one word. Each pair of them may enclose a path; somebody's list of options has a few."""

SHOWN_MAX_CHARS: Final = 40
"""Of a refused word in a message, which has to fit into a report."""

NAME_MAX: Final = 255
"""Of a file's name (limits.h)."""

_UNPLAIN: Final = re.compile(r"[^A-Za-z0-9_./+:=,@ -]")
_SEPARATOR: Final = re.compile(r"[:=,@ ]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """`paths` are absolute. `names` have no slash: programs, where they are in PATH."""

    paths: tuple[str, ...]
    names: tuple[str, ...]


def find_unclear(words: Sequence[str]) -> str | None:
    """Return which word may name more than it shows, and why; None if each is plain."""
    for word in words:
        if (why := _unclear(word)) is not None:
            shown = word if len(word) <= SHOWN_MAX_CHARS else word[:SHOWN_MAX_CHARS] + "…"
            return f"{shown!r} {why}"
    return None


def named_in(words: Sequence[str]) -> Named:
    """Return what may be a path or a program's name in plain words, each once."""
    found = dict.fromkeys(part for word in words for part in _parts(word))
    return Named(
        paths=tuple(part for part in found if part.startswith("/")),
        names=tuple(
            part for part in found if "/" not in part and part not in {"", "."} and len(part) <= NAME_MAX
        ),
    )


def _unclear(word: str) -> str | None:
    if found := _UNPLAIN.search(word):
        return f"has {found[0]!r}, with which a shell or another program may name any file"
    if "/" in word and " " in word:
        return "has a space and a path in one word"
    if ".." in _SEPARATOR.sub("/", word).split("/"):
        return "has '..' in it"
    if len(_SEPARATOR.findall(word)) > SEPARATORS_MAX:
        return f"has more than {SEPARATORS_MAX} parts"
    return None


def _parts(word: str) -> Iterator[str]:
    """Return whatever stands between two separators, next to each other or not, and what follows an option's letters."""
    edges = [-1, *(found.start() for found in _SEPARATOR.finditer(word)), len(word)]
    for before, after in combinations(edges, 2):
        part = word[before + 1 : after]
        yield part
        if part.startswith(("-", "+")):
            yield from _after_letters(part)


def _after_letters(option: str) -> Iterator[str]:
    letters, slash, path = option.partition("/")
    if slash:
        yield slash + path  # -I/opt/lib
    else:
        yield from (letters[end:] for end in range(1, len(letters)))  # -Sreload
