"""Challenges as files, for a web server that serves them on port 80.

Owns only the files that its ledger lists by path; another's file with the same name stays. The ledger is in the
agent's own directory and lists a file before it is made, so files left by a kill are found and removed when they
expire. Leaves to the caller when that is. Invariant: a file appears whole, with mode 0644, in a directory that
only root and this process's user can change. Its name is a token, which is never a path.
Blocking; every function is called in a thread.
"""

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final

import msgspec
import structlog

from common.challenge import CHALLENGES_MAX, RESPONSE_MAX_CHARS, is_token
from common.errors import InstallError, Reason
from common.runtime import durable, trusted
from nodeagent.install.fault import name_fault
from nodeagent.install.leftovers import remove_half_written
from nodeagent.install.nolinks import read_without_links

log = structlog.get_logger(__name__)

LEDGER: Final = "challenges.json"
LEDGER_MAX_BYTES: Final = 1024 * 1024
"""Room for twice the most challenges, each with the longest path."""

LISTED_MAX: Final = 2 * CHALLENGES_MAX
"""A set, and the previous one if it could not be removed yet."""

DIRECTORY_MODE: Final = 0o755
FILE_MODE: Final = 0o644
_ENTERED: Final = 0o001

TOLERANCE_S: Final = 5.0
"""How far a challenge's end may differ from the ledger's. It is computed anew each minute, without a write."""


class ChallengeFiles:
    """`clock` is in unix seconds, since the files outlast this process."""

    def __init__(self, data: Path, *, clock: Callable[[], float]) -> None:
        self._data = data
        self._clock = clock
        self._listed: dict[str, float] = {}

    @property
    def count(self) -> int:
        """The number of files in the ledger."""
        return len(self._listed)

    def begin(self) -> None:
        """Read an earlier process's ledger, and remove its expired and half-written files."""
        self._listed = self._read()
        for path in map(Path, self._listed):
            remove_half_written(path, "of a challenge")
        self.expire()

    def expire(self, directory: str | None = None) -> None:
        """Remove expired files and, with a `directory`, files outside it."""
        now_s = self._clock()
        over = [
            path
            for path, expires_s in self._listed.items()
            if expires_s <= now_s or (directory is not None and str(Path(path).parent) != directory)
        ]
        self._remove(over)

    def show(self, directory: str | None, wanted: Mapping[str, tuple[str, float]]) -> dict[str, str]:
        """Show exactly these files (token -> content and end); None for none. Return the failures by token."""
        targets = {} if directory is None else {str(Path(directory, token)): token for token in wanted}
        self._remove([path for path in self._listed if path not in targets])
        if not targets or directory is None:
            return {}
        try:
            _make_directory(Path(directory))
            check_directory(directory, self._data)
            foreign = [path for path in targets if path not in self._listed and not _is_free(path)]
            ours = {
                path: self._end(path, wanted[token][1])
                for path, token in targets.items()
                if path not in foreign
            }
            adopted = {
                path: wanted[targets[path]][1]
                for path in foreign
                if _content(path) == wanted[targets[path]][0]
            }
            self._list({**self._listed, **ours, **adopted})
        except (InstallError, OSError) as error:
            wrong = (
                error if isinstance(error, InstallError) else name_fault("challenges cannot be noted", error)
            )
            return dict.fromkeys(wanted, wrong.message)
        faults = {
            targets[path]: "a file of this name is there already, and is not the agent's"
            for path in foreign
            if path not in adopted
        }
        for path in ours:
            if (fault := _write(path, wanted[targets[path]][0])) is not None:
                faults[targets[path]] = fault
        return faults

    # -- inside

    def _end(self, path: str, expires_s: float) -> float:
        noted_s = self._listed.get(path)
        return noted_s if noted_s is not None and abs(noted_s - expires_s) < TOLERANCE_S else expires_s

    def _remove(self, paths: Iterable[str]) -> None:
        left = dict(self._listed)
        for path in paths:
            try:
                durable.remove_file(Path(path))
            except OSError as error:
                wrong = name_fault("a challenge could not be removed", error)
                log.warning("disk.failed", reason=wrong.reason, message=wrong.message)
            else:
                del left[path]
        try:
            self._list(left)
        except OSError as error:
            # a listed file that does not exist is harmless
            self._listed = left
            wrong = name_fault("challenges cannot be noted", error)
            log.warning("disk.failed", reason=wrong.reason, message=wrong.message)

    def _list(self, listed: dict[str, float]) -> None:
        """Write the ledger unless it is up to date."""
        if listed == self._listed:
            return
        if len(listed) > max(LISTED_MAX, len(self._listed)):
            raise InstallError("earlier challenges could not be removed", reason=Reason.STORAGE)
        durable.write_file(self._data / LEDGER, msgspec.json.encode(listed), mode=0o600)
        self._listed = listed

    def _read(self) -> dict[str, float]:
        raw = read_without_links(self._data / LEDGER, LEDGER_MAX_BYTES)
        try:
            listed = msgspec.json.decode(raw, type=dict[str, float]) if raw is not None else {}
        except (msgspec.DecodeError, UnicodeDecodeError):
            log.warning("disk.failed", reason=Reason.STORAGE, message=f"{LEDGER} cannot be read")
            listed = {}
        return {path: at_s for path, at_s in listed.items() if is_token(Path(path).name)}


def check_directory(directory: str, data: Path) -> None:
    """Check that everybody can read challenges here. Raises InstallError: TARGET_MISSING, PERMISSION, or STORAGE."""
    path = Path(directory)
    if path == data.resolve() or data.resolve() in path.parents:
        raise InstallError(
            f"{path} is in the agent's own directory; name another one for challenges",
            reason=Reason.TARGET_MISSING,
        )
    try:
        with trusted.directory(path):
            pass
        closed = [each for each in (path, *path.parents) if not _is_open(each)]
    except OSError as error:
        raise name_fault("challenges have no place", error) from error
    if closed:
        raise InstallError(
            f"a web server that is not root cannot enter {closed[0]}; give it the mode 0755",
            reason=Reason.PERMISSION,
        )


def check_place(directory: str, data: Path) -> None:
    """Do the same check, after making a missing directory in its parent. Raises InstallError."""
    try:
        is_made_there = _is_free(directory)
    except OSError as error:
        raise name_fault("challenges have no place", error) from error
    check_directory(str(Path(directory).parent) if is_made_there else directory, data)


def _is_open(path: Path) -> bool:
    with trusted.directory(path) as descriptor:
        return bool(os.fstat(descriptor).st_mode & _ENTERED)


def _make_directory(path: Path) -> None:
    try:
        durable.make_dir(path, DIRECTORY_MODE)
    except OSError as error:
        raise name_fault(f"the directory {path} for challenges cannot be made", error) from error


def _is_free(path: str) -> bool:
    try:
        trusted.examine(Path(path))
    except FileNotFoundError:
        return True
    return False


def _content(path: str) -> str | None:
    body = read_without_links(Path(path), RESPONSE_MAX_CHARS + 1)
    return body.decode("latin-1") if body is not None else None


def _write(path: str, text: str) -> str | None:
    """Write a file unless it already has this content; return why that failed."""
    if _content(path) == text:
        return None
    try:
        durable.write_file(Path(path), text.encode("ascii"), mode=FILE_MODE)
    except OSError as error:
        # without the path: its last name is the token, which the reader knows
        return name_fault("it could not be written", OSError(error.errno, error.strerror)).message
    return None
