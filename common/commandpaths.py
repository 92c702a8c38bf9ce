"""Files and programs named by a command's words, whatever program reads them.

A list of shells, languages, wrappers (`timeout`, `env`) and their options could never be complete, so there is none.
Instead, words are restricted to an alphabet in which no known language can assemble a name from pieces: no quotes,
variables, patterns, brackets, operators or escapes, no `..`, no number in a chain of dots where code may be (`v47.111`
is `/o` in Perl, `47.chr` a slash in Ruby), and no path in a word with spaces. The remaining words are literal. Each part
that may be a path or a program's name counts as one, a path from any of its slashes on (`sed 1e/opt/x` runs `/opt/x`).
Invariant: errs only by naming too much or by refusing.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final

SEPARATORS_MAX: Final = 32
"""The limit per word. Each pair of them may enclose a path; a list of options has a few."""

SLASHES_MAX: Final = 128
"""The limit per word. A path may begin at each of them; a list of directories has some fifty."""

SHOWN_MAX_CHARS: Final = 40
"""The length of a refused word in a message, which must fit into a report."""

NAME_MAX: Final = 255
"""The length of a file's name (limits.h)."""

_UNPLAIN: Final = re.compile(r"[^A-Za-z0-9_./+:=,@ -]")
_SEPARATOR: Final = re.compile(r"[:=,@ ]")
_PARENT: Final = re.compile(r"(?<![.])[.][.](?![^/:=,@ ])")
"""Also after an option's letter: `env -C../x`."""

_JOIN: Final = re.compile(r"[^:=,@ +][+](?![0-9+]*(?:[=,@ ]|$))")
"""A plus that is not at the beginning, at the end, or before a last number (`RTMIN+1`)."""

_IN_TEXT: Final = re.compile(r"[A-Za-z0-9_@:,-]*|[A-Za-z_][A-Za-z0-9_@-]*[.][A-Za-z][A-Za-z0-9_-]*")
"""What may stand between spaces: words, numbers, and files such as `res_pjsip.so`."""

_SLASHES: Final = re.compile("/+")


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedPrograms:
    """`paths` are absolute. `names` have no slash and are programs if they exist in PATH.

    `inner` pairs a path that may not be meant as one with a path that begins at one of its later slashes.
    """

    paths: tuple[str, ...]
    inner: tuple[tuple[str, str], ...]
    names: tuple[str, ...]


def find_unclear(words: Sequence[str]) -> str | None:
    """Return the first word that may name more than it shows, and why; None if all are plain."""
    for word in words:
        if (why := _unclear(word)) is not None:
            shown = word if len(word) <= SHOWN_MAX_CHARS else word[:SHOWN_MAX_CHARS] + "…"
            return f"{shown!r} {why}"
    return None


def named_in(words: Sequence[str]) -> NamedPrograms:
    """Return every part of plain words that may be a path or a program's name, each once."""
    found = dict.fromkeys(part for word in words for part in _parts(word))
    outer = dict.fromkeys(path for part in found if (path := _path_in(part)))
    return NamedPrograms(
        paths=tuple(outer),
        inner=tuple((path, inner) for path in outer for inner in _after_slashes(path)),
        names=tuple(
            part for part in found if "/" not in part and part not in {"", "."} and len(part) <= NAME_MAX
        ),
    )


def _unclear(word: str) -> str | None:
    if found := _UNPLAIN.search(word):
        return f"has {found[0]!r}, with which a shell or another program may name any file"
    if "/" in word and " " in word:
        return "has a space and a path in one word"
    if _PARENT.search(word):
        return "has '..' in it"
    unlike = [each for each in word.split(" ") if not _IN_TEXT.fullmatch(each)] if " " in word else []
    if found := _JOIN.search(word):
        unlike.append(found[0])
    if unlike:
        return f"has {unlike[0]!r}, with which a program may put any name together"
    if word.count("/") > SLASHES_MAX:
        return f"has more than {SLASHES_MAX} slashes"
    if len(_SEPARATOR.findall(word)) > SEPARATORS_MAX:
        return f"has more than {SEPARATORS_MAX} parts"
    return None


def _parts(word: str) -> Iterator[str]:
    """Yield the text between any two separators, adjacent or not, and any value after an option's letters in it."""
    edges = [-1, *(found.start() for found in _SEPARATOR.finditer(word)), len(word)]
    for before, after in combinations(edges, 2):
        part = word[before + 1 : after]
        yield part
        if "/" not in part and part.startswith(("-", "+")):
            yield from (part[end:] for end in range(2, len(part)))  # -Sreload


def _path_in(part: str) -> str:
    """Return the path from the first slash on: /opt/x, -I/opt/lib, w/opt/x. Not for `./x`, in the agent's directory."""
    start = part.find("/")
    return "" if start < 0 or part.startswith("./") else part[start:]


def _after_slashes(path: str) -> Iterator[str]:
    """Yield the paths from each later slash of its first part on: s/a/b/w/opt/x. Slashes in a row count once."""
    first = _SEPARATOR.split(path, maxsplit=1)[0]
    yield from (path[at.start() :] for at in _SLASHES.finditer(first) if at.start())
