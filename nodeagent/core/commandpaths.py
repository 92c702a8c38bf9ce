"""Paths that the words of a command may name, whatever program reads them.

Decides by the words alone, so that no list of interpreters, wrappers (`timeout`, `env`, `sudo`) and their options is needed: each
word, each part of a shell's line in it, and what follows an option's letters or `=` may be a path.
Invariant: errs by naming too much. What a shell makes of a variable that no path stands in is not found.
"""

import re
import shlex
from collections.abc import Iterator, Sequence
from typing import Final

NESTING_MAX: Final = 4
"""Of a shell's line in a shell's line."""

_PLAIN: Final = re.compile(r"[\w./+~-]+")
"""What ends at a quote, a bracket or whatever else may stand around a path in a line of code."""

_LINE: Final = re.compile(r"[;&|<>$`(){}\n]")
"""A word with one of these is code, and no path as a whole."""

_PATTERN: Final = re.compile(r"[\w./+~*?\[\]!-]+")
_MAGIC: Final = re.compile(r"[*?\[]")

_ASSIGNED: Final = re.compile(r"[=:,@]")
_OPTION: Final = re.compile(r"-+\w+(/.*)")

_RUNTIME: Final = re.compile(r"(?:.*[._-])?(?:pid|sock|socket|ctl|control|fifo)")
"""Names of PID files, sockets and pipes, which services keep in directories of their own below `RUNTIME`. By name and place, since what
is there can be exchanged after the look; elsewhere a program may be called so (`app-ctl`)."""

RUNTIME: Final = ("/run/", "/var/run/")
"""Where services keep what lasts as long as they run (FHS 3.0, 3.15), and nobody keeps programs."""

_CERTIFICATE: Final = re.compile(r".*\.(?:pem|crt|cer|key|p12|pfx)")


def paths_in(words: Sequence[str]) -> list[str]:
    """Return what may be a path in these words, absolute or not, each once."""
    found = dict.fromkeys(path for word in words for path in _paths_in(word, NESTING_MAX))
    return [path for path in found if path.strip("/") and not _is_runtime(path)]


def is_pattern(path: str) -> bool:
    """Whether a shell would look for what fits. Without a directory it is rather one of names of another kind (`app@*`)."""
    return "/" in path and _MAGIC.search(path) is not None


def _is_runtime(path: str) -> bool:
    # commands run in the root directory, so a leading slash may be missing
    is_there = f"/{path.lstrip('/')}".startswith(RUNTIME) and ".." not in path.split("/")
    return is_there and _RUNTIME.fullmatch(_name(path)) is not None


def is_certificate(path: str) -> bool:
    """Whether a file's name says that it holds certificates or keys, which may be the service's own and are never run."""
    return _CERTIFICATE.fullmatch(_name(path)) is not None


def _name(path: str) -> str:
    return path.rstrip("/").rpartition("/")[2]


def _paths_in(word: str, nesting: int) -> Iterator[str]:
    whole = () if _LINE.search(word) else (word, *_ASSIGNED.split(word))
    for part in (*whole, *_PLAIN.findall(word), *_PATTERN.findall(word)):
        yield part
        if option := _OPTION.fullmatch(part):
            yield option[1]
        # after a variable: $HOME/bin, ${HOME}/bin
        yield part.lstrip("/") if part.startswith("/") else part.partition("/")[2]
    if nesting:
        for token in _tokens(word):
            if token != word:
                yield from _paths_in(token, nesting - 1)


def _tokens(word: str) -> list[str]:
    """Return a shell's words, without their quotes."""
    reader = shlex.shlex(word, posix=True, punctuation_chars=True)
    reader.whitespace_split, reader.commenters = True, ""
    try:
        return list(reader)
    except ValueError:
        return []
