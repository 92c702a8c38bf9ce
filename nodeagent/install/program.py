"""Programs that the agent runs with its own rights: only such as nobody else can change.

Decides by the owner and mode of the program and of whatever else its command line names, and by the directories on the way there,
links included; of a script, by its interpreter as well. What a program reads or runs without being told is its author's affair.
Blocking; called in a thread.
"""

import errno
import os
import stat
from collections.abc import Sequence
from contextlib import suppress
from fnmatch import fnmatchcase
from itertools import product
from pathlib import Path
from typing import Final

from common.runtime import trusted
from nodeagent.core.commandpaths import is_certificate, is_pattern, paths_in

SEARCHED: Final = (
    "/usr/local/sbin",
    "/usr/local/bin",
    "/usr/sbin",
    "/usr/bin",
    "/sbin",
    "/bin",
)

INTERPRETERS_MAX: Final = 5
"""A script's interpreter may be a script again; Linux follows as many (execve(2))."""

FIRST_LINE_MAX_BYTES: Final = 256
"""What Linux reads of it (BINPRM_BUF_SIZE)."""

FITTING_MAX: Final = 1000
"""Names that a pattern may stand for."""

WORKING_DIRECTORY: Final = Path("/")


def search_path() -> str:
    """Return PATH for commands: directories in which nobody else can put a program."""
    return ":".join(each for each in SEARCHED if _is_trusted(Path(each)))


def check_program(argv: Sequence[str]) -> None:
    """Raise OSError if it cannot be run: ENOENT or EACCES, or UntrustedPathError if somebody else could change what is run."""
    facts = trusted.check_unchangeable(Path(argv[0]))
    if facts is None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), argv[0])
    if not stat.S_ISREG(facts.st_mode) or not os.access(argv[0], os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), argv[0])
    _check_words(_first_words(Path(argv[0])), INTERPRETERS_MAX)
    _check_words(argv[1:], INTERPRETERS_MAX)


def _check_words(words: Sequence[str], nesting: int) -> None:
    if not nesting:
        return
    named = paths_in(words)
    paths = [_home(path) for path in named]
    paths += [found for path in named if is_pattern(path) for found in _fitting(_home(path))]
    directories = [WORKING_DIRECTORY, *(Path(each) for each in SEARCHED if _is_trusted(Path(each)))]
    directories += [
        path for path in paths if path.is_absolute() and _check_path(path, nesting) == stat.S_IFDIR
    ]
    for directory, path in product(directories, paths):
        if not path.is_absolute() and os.path.lexists(directory / path):
            _check_path(directory / path, nesting)


def _fitting(pattern: Path) -> list[Path]:
    """Return what a shell finds for a pattern. What is below a directory of somebody else is refused by the directory's own name."""
    found = [WORKING_DIRECTORY]
    for name in pattern.parts[pattern.is_absolute() :]:
        if is_pattern(f"/{name}"):
            # a shell leaves hidden names out, but not every program that knows patterns does
            found = [place / each for place in found for each in _names_in(place) if fnmatchcase(each, name)]
        else:
            found = [place / name for place in found]
        if len(found) > FITTING_MAX:
            raise trusted.UntrustedPathError(
                errno.E2BIG, f"{pattern} fits more than {FITTING_MAX} names; name those that are meant"
            )
    return found


def _names_in(path: Path) -> list[str]:
    try:
        return trusted.names_in(trusted.resolve(path, must_be_trusted=True))
    except trusted.UntrustedPathError:
        raise
    except OSError:
        return []


def _home(path: str) -> Path:
    try:
        return Path(path).expanduser() if path.startswith("~") else Path(path)
    except RuntimeError:
        return Path(path)  # no such user: a shell leaves it as it is, too


def _check_path(path: Path, nesting: int) -> int:
    """Return the kind of what is there, 0 if it names nothing. Raises UntrustedPathError."""
    try:
        facts = trusted.check_unchangeable(path, is_data=is_certificate(path.name))
    except trusted.UntrustedPathError:
        raise
    except OSError:
        return 0  # no path at all: too long, or through a file
    if facts is None:
        return 0
    kind = stat.S_IFMT(facts.st_mode)
    if kind == stat.S_IFREG:
        _check_words(_first_words(path), nesting - 1)
    return kind


def _first_words(path: Path) -> list[str]:
    """Return the words of a script's first line that name its interpreter."""
    first = b""
    with suppress(OSError):  # one that may be run but not read
        first = trusted.read_file(trusted.resolve(path), FIRST_LINE_MAX_BYTES).partition(b"\n")[0]
    return os.fsdecode(first[2:]).split() if first.startswith(b"#!") else []


def _is_trusted(path: Path) -> bool:
    try:
        trusted.check_unchangeable(path)
    except OSError:
        return False
    return True
