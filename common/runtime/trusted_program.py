"""Programs that we run with our own rights: only such as nobody else can change.

Decides by the owner and mode of the program and of whatever else its command line may name: files, whole directories, programs in
PATH, the interpreters of scripts, and the directories on the way there, links included. What a program reads or runs
without being told is its author's affair.
Blocking; called in a thread.
"""

import errno
import os
import stat
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from common.commandpaths import find_unclear, named_in
from common.runtime import trusted

SEARCHED: Final = (
    "/usr/local/sbin",
    "/usr/local/bin",
    "/usr/sbin",
    "/usr/bin",
    "/sbin",
    "/bin",
)

FIRST_LINE_MAX_BYTES: Final = 256
"""What Linux reads of a script to find its interpreter (BINPRM_BUF_SIZE)."""

LOOKED_AT_MAX: Final = 1000
"""Files and directories that one command may name, with all that is below. Configurations of services have a few hundred."""

KERNELS: Final = (Path("/proc"), Path("/sys"))
"""Where a file of root's may show what others say, such as the names of their sockets, and where `self` is another process for the command."""

REMEDY: Final = "put the command into a script that only root can change, and name that"

_NO_PATH: Final = frozenset({errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP})
"""Errors that say that a word leads nowhere, for whoever follows it."""


def check_program(path: Path) -> str:
    """Return PATH for a program: directories in which nobody else can put another.

    Raises OSError if it cannot be run: ENOENT or EACCES, or UntrustedPathError if somebody else could change what is run.
    """
    return _Search().check_program(path)


def check_command(argv: Sequence[str]) -> str:
    """Return PATH for a whole command, as `check_program` does for its first word. Raises UntrustedPathError also for a word that may name what others could change."""
    search = _Search()
    path = search.check_program(Path(argv[0]))
    search.check_words(argv[1:])
    return path


class _Search:
    """Everything that one command names, each looked at once."""

    def __init__(self) -> None:
        self._seen: set[Path] = set()
        self._searched = [path for path in map(Path, SEARCHED) if _is_trusted(path)]

    def check_program(self, path: Path) -> str:
        facts = trusted.check_unchangeable(path)
        if facts is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
        if not stat.S_ISREG(facts.st_mode) or not os.access(path, os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        self.check(path)
        return ":".join(map(str, self._searched))

    def check_words(self, words: Sequence[str]) -> None:
        for path in self._named_in(words):
            self.check(path)

    def check(self, named: Path) -> None:
        ahead = [named]
        while ahead:
            path = ahead.pop()
            try:
                ahead += self._examine(path)
            except trusted.UntrustedPathError:
                raise
            except OSError as error:
                if error.errno not in _NO_PATH:
                    raise _refusal(f"{path} cannot be examined: {error.strerror}") from error
            if len(self._seen) > LOOKED_AT_MAX:
                raise _refusal(f"{named} names more than {LOOKED_AT_MAX} files")

    def _examine(self, path: Path) -> Iterable[Path]:
        """Return what else is named by what is there: the words of a script's first line, the names in a directory."""
        real = trusted.resolve(path, must_be_trusted=True)
        facts = trusted.check_resolved(real)
        if facts is None or real in self._seen:
            return ()
        self._seen.add(real)
        if any(one.is_relative_to(place) for one in (path, real) for place in KERNELS):
            raise _refusal(f"{path} may show what others say")
        if stat.S_ISREG(facts.st_mode):
            return self._named_in(_first_words(real))
        if not stat.S_ISDIR(facts.st_mode):
            return ()
        if facts.st_mode & stat.S_IWOTH:
            raise _refusal(f"everybody may put a file into {path}")
        return [real / name for name in trusted.names_in(real)]

    def _named_in(self, words: Sequence[str]) -> list[Path]:
        if (unclear := find_unclear(words)) is not None:
            raise _refusal(unclear)
        named = named_in(words)
        found = [place / name for place in self._searched for name in named.names]
        # where there is what a path names, that is meant, and no part of it
        inner = [path for outer, path in named.inner if not os.path.lexists(outer)]
        return [*map(Path, (*named.paths, *inner)), *(path for path in found if os.path.lexists(path))]


def _refusal(what: str) -> trusted.UntrustedPathError:
    return trusted.UntrustedPathError(errno.EPERM, f"{what}; {REMEDY}")


def _first_words(path: Path) -> list[str]:
    """Return the words of a script's first line that name its interpreter."""
    first = b""
    with suppress(OSError):  # one that may be run but not read
        first = trusted.read_file(path, FIRST_LINE_MAX_BYTES).partition(b"\n")[0]
    return os.fsdecode(first[2:]).split() if first.startswith(b"#!") else []


def _is_trusted(path: Path) -> bool:
    try:
        trusted.check_unchangeable(path)
    except OSError:
        return False
    return True
