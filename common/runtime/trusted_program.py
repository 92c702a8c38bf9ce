"""Programs run with our own rights: only those that no other user can change.

Decides by the owner and mode of the program and of everything else that its command line may name: files, whole
directories, programs in PATH, interpreters of scripts, and the directories and links on the way. Files that a
program reads or runs by itself are its author's responsibility.
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
"""The bytes that Linux reads of a script to find its interpreter (BINPRM_BUF_SIZE)."""

LOOKED_AT_MAX: Final = 1000
"""Files and directories that one command may name, with their content. Services' configurations have a few hundred."""

KERNELS: Final = (Path("/proc"), Path("/sys"))
"""Directories whose files belong to root but may show text of others, such as names of their sockets; `self` also
means a different process to the command."""

REMEDY: Final = "put the command into a script that only root can change, and name that"

_NO_PATH: Final = frozenset({errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP})
"""Errors that mean that a word leads nowhere for any process."""


def check_program(path: Path) -> str:
    """Return the PATH for a program: directories to which no other user can add programs.

    Raises OSError if it cannot be run (ENOENT, EACCES), and UntrustedPathError if another user could change it.
    """
    return _Search().check_program(path)


def check_command(argv: Sequence[str]) -> str:
    """Return the PATH for a whole command, as `check_program` does for its first word.

    Also raises UntrustedPathError for a word that may name a file that others could change.
    """
    search = _Search()
    path = search.check_program(Path(argv[0]))
    search.check_words(argv[1:])
    return path


class _Search:
    """All files that one command names, each checked once."""

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
        """Return the further names in a file: the words of a script's first line, or a directory's names."""
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
        # a path that exists is meant as a whole, not a part of it
        inner = [path for outer, path in named.inner if not os.path.lexists(outer)]
        return [*map(Path, (*named.paths, *inner)), *(path for path in found if os.path.lexists(path))]


def _refusal(what: str) -> trusted.UntrustedPathError:
    return trusted.UntrustedPathError(errno.EPERM, f"{what}; {REMEDY}")


def _first_words(path: Path) -> list[str]:
    """Return the words of a script's first line that name its interpreter."""
    first = b""
    with suppress(OSError):  # may be executed but not read
        first = trusted.read_file(path, FIRST_LINE_MAX_BYTES).partition(b"\n")[0]
    return os.fsdecode(first[2:]).split() if first.startswith(b"#!") else []


def _is_trusted(path: Path) -> bool:
    try:
        trusted.check_unchangeable(path)
    except OSError:
        return False
    return True
