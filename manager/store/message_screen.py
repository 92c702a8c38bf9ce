"""Screen for a PostgreSQL server's messages, which checks each one before the driver reads it.

The driver trusts a message's own length and contents. A wrong byte makes it loop on one message for ever or
read beyond its memory, and it answers any request for a password. Decides which messages may come, of which
size and form, and how a server must prove itself that nothing else has proven. Does no I/O. Invariant: an
unproven server's messages pass only as part of its proof; every message that passes is whole and has the form
of its kind. Source of the forms: PostgreSQL's manual, "Frontend/Backend Protocol", "Message Formats".
"""

import re
import struct
from collections.abc import Callable, Mapping
from enum import Enum, auto
from types import MappingProxyType
from typing import Final

from common.errors import Reason

HANDSHAKE_MAX_BYTES: Final = 256 * 1024
"""Bytes that a server may send until it is ready; a current server sends about 500."""

MESSAGE_MAX_BYTES: Final = 32 * 1024 * 1024
"""Size of one message after that; our largest row has a file of a bundle in it (4 MiB)."""

SCRAM_ROUNDS_MAX: Final = 100_000
"""Rounds of SCRAM; PostgreSQL's default is 4,096. The driver computes them on the loop: 100,000 take about 50
ms."""

_HEADER: Final = struct.Struct("!BI")
_CODE: Final = struct.Struct("!I")

_SCRAM: Final = b"SCRAM-SHA-256"
_SCRAM_FIRST: Final = re.compile(rb"r=[!-+\--~]{1,1000},s=[A-Za-z0-9+/=]{1,1000},i=([1-9][0-9]{0,9})")
_SCRAM_FINAL: Final = re.compile(rb"v=[A-Za-z0-9+/=]{1,1000}")

NOT_POSTGRESQL: Final = (
    "what answers there is no PostgreSQL server; correct the address, or find out which program has that port"
)
GARBLED: Final = "what it sent is no message of PostgreSQL; see its log, and what stands in between"
EARLY_FAILURE: Final = "what answers there is no PostgreSQL server, or one that can start no process for a connection; see its log"
IN_THE_CLEAR: Final = (
    "it asks for the password in a form that any program which has taken its port could use (pg_hba.conf there says '{method}'); "
    "make that scram-sha-256 and set the password again, or use TLS or the server's Unix socket"
)
UNPROVEN: Final = (
    "it lets '{user}' in without proving that it is the server; use scram-sha-256 in pg_hba.conf there and a password in the URL, "
    "or TLS or the server's Unix socket"
)
NO_PASSWORD: Final = "it asks '{user}' for a password, and the URL has none"  # noqa: S105 - a sentence
MANY_ROUNDS: Final = "it asks for {rounds} rounds of SCRAM, and no more than {most} are done here; lower scram_iterations there, and set the password again"
UNSUPPORTED: Final = "it asks '{user}' to sign in by a method that is not supported here; use scram-sha-256 in pg_hba.conf there"


class NotAcceptedError(ConnectionError):
    """The server is refused, or no longer used. `finding` may contain {user}."""

    def __init__(self, finding: str, reason: Reason = Reason.UNREACHABLE) -> None:
        super().__init__(finding)
        self.finding = finding
        self.reason = reason


class _Stage(Enum):
    """Stages of authentication by the server."""

    BEGINNING = auto()
    FIRST_AWAITED = auto()
    FINAL_AWAITED = auto()
    VERDICT_AWAITED = auto()
    LET_IN = auto()
    REFUSED = auto()
    READY = auto()


class Screening:
    """Screening of one server.

    `is_proven`: its identity is proven by other means, and nobody can listen in.
    """

    def __init__(self, *, is_proven: bool, has_password: bool) -> None:
        self._is_proven = is_proven
        self._has_password = has_password
        self._stage = _Stage.BEGINNING
        self._kept = bytearray()
        self._needed = _HEADER.size
        self._passed = 0

    def take(self, data: bytes) -> bytes:
        """Take received bytes; return the messages that are complete.

        After NotAcceptedError nothing more may pass.
        """
        if self._kept:
            self._kept += data
            if len(self._kept) < self._needed:
                return b""
            data, self._kept = bytes(self._kept), bytearray()
        start, self._needed = 0, _HEADER.size
        while len(data) - start >= _HEADER.size:
            kind, size = _HEADER.unpack_from(data, start)
            self._check_header(kind, size)
            after = start + 1 + size
            if after > len(data):
                self._needed = after - start
                break
            if kind != _ROW or size < _ROW_MIN_BYTES:
                self._check(kind, data[start + _HEADER.size : after])
            start = after
        if start == len(data):
            return data
        self._kept += data[start:]
        return data[:start]

    def _check_header(self, kind: int, size: int) -> None:
        most = MESSAGE_MAX_BYTES if self._stage is _Stage.READY else HANDSHAKE_MAX_BYTES - self._passed
        if kind in _AWAITED[self._stage] and _CODE.size <= size <= most:
            return
        if self._stage is not _Stage.BEGINNING:
            raise NotAcceptedError(GARBLED)
        # the three-decades-old form in which PostgreSQL still reports that it cannot start a process
        raise NotAcceptedError(EARLY_FAILURE if kind == ord("E") and size > most else NOT_POSTGRESQL)

    def _check(self, kind: int, body: bytes) -> None:
        form = _FORMS[kind]
        if not form(body):
            raise NotAcceptedError(GARBLED if self._stage is not _Stage.BEGINNING else NOT_POSTGRESQL)
        if self._stage is _Stage.READY:
            return
        self._passed += _HEADER.size + len(body)
        match chr(kind):
            case "R":
                self._stage = self._authenticated(_CODE.unpack_from(body)[0], body[_CODE.size :])
            case "E":
                self._stage = _Stage.REFUSED
            case "Z":
                self._stage = _Stage.READY
            case _:
                pass

    def _authenticated(self, code: int, body: bytes) -> _Stage:
        """Return the stage after an authentication message."""
        match self._stage, code:
            case _Stage.BEGINNING, 0 if not self._is_proven:
                raise NotAcceptedError(UNPROVEN, Reason.UNAUTHENTICATED)
            case _Stage.BEGINNING, 3 | 5 if not self._is_proven:
                method = "password" if code == 3 else "md5"  # the protocol's own numbers
                raise NotAcceptedError(IN_THE_CLEAR.format(method=method), Reason.UNAUTHENTICATED)
            case _Stage.BEGINNING, 3 | 5 | 10 if not self._has_password:
                raise NotAcceptedError(NO_PASSWORD, Reason.UNAUTHENTICATED)
            case _Stage.BEGINNING, 10 if _SCRAM in body.split(b"\0"):
                return _Stage.FIRST_AWAITED
            case _Stage.BEGINNING, 3 | 5:
                return _Stage.VERDICT_AWAITED
            case _Stage.FIRST_AWAITED, 11:
                _check_rounds(body)
                return _Stage.FINAL_AWAITED
            case _Stage.FINAL_AWAITED, 12 if _SCRAM_FINAL.fullmatch(body):
                return _Stage.VERDICT_AWAITED
            case ((_Stage.BEGINNING | _Stage.VERDICT_AWAITED), 0):
                return _Stage.LET_IN
            case _Stage.BEGINNING, _:
                raise NotAcceptedError(UNSUPPORTED, Reason.UNAUTHENTICATED)
            case _:
                raise NotAcceptedError(GARBLED)


def _check_rounds(first: bytes) -> None:
    found = _SCRAM_FIRST.fullmatch(first)
    if found is None:
        raise NotAcceptedError(GARBLED)
    if (rounds := int(found[1])) > SCRAM_ROUNDS_MAX:
        raise NotAcceptedError(
            MANY_ROUNDS.format(rounds=rounds, most=SCRAM_ROUNDS_MAX), Reason.UNAUTHENTICATED
        )


def _is_empty(body: bytes) -> bool:
    return not body


def _is_request(body: bytes) -> bool:
    if len(body) < _CODE.size:
        return False
    match _CODE.unpack_from(body)[0]:
        case 5:
            return len(body) == _CODE.size + 4
        case 10:
            return body.endswith(b"\0\0") and b"\0\0" not in body[_CODE.size : -2]
        case 11 | 12:
            return True
        case code:
            return len(body) == _CODE.size or code not in {0, 3}


def _is_key(body: bytes) -> bool:
    return 8 <= len(body) <= 4 + 256  # a process's number, and a secret of 4 to 256 bytes


def _is_text(body: bytes) -> bool:
    return body.endswith(b"\0") and body.count(b"\0") == 1


def _is_setting(body: bytes) -> bool:
    return body.endswith(b"\0") and body.count(b"\0") == 2  # a name and its value


def _is_notification(body: bytes) -> bool:
    return _is_setting(body[_CODE.size :])


def _is_report(body: bytes) -> bool:
    """Whether a body is a list of fields, one letter and a text each, with its terminator."""
    return body == b"\0" or (body.endswith(b"\0\0") and all(body[:-2].split(b"\0")))


def _is_state(body: bytes) -> bool:
    return body in {b"I", b"T", b"E"}


def _is_counted(body: bytes) -> bool:
    return len(body) >= 2  # how many there are


_ROW: Final = ord("D")
_ROW_MIN_BYTES: Final = 6
"""The row's length and number of columns. Their values are read by code that knows them, from a proven
server."""

_FORMS: Final[Mapping[int, Callable[[bytes], bool]]] = MappingProxyType(
    {
        ord("R"): _is_request,
        ord("K"): _is_key,
        ord("S"): _is_setting,
        ord("N"): _is_report,
        ord("E"): _is_report,
        ord("A"): _is_notification,
        ord("Z"): _is_state,
        ord("C"): _is_text,
        ord("T"): _is_counted,
        ord("t"): _is_counted,
        _ROW: _is_counted,
        **dict.fromkeys(map(ord, "123nsI"), _is_empty),
    }
)
"""Every message that a server may send, and its form. COPY and function calls are not used here."""

_DURING: Final = frozenset(map(ord, "REN"))
_AWAITED: Final[Mapping[_Stage, frozenset[int]]] = MappingProxyType(
    {
        _Stage.BEGINNING: _DURING,
        _Stage.FIRST_AWAITED: _DURING,
        _Stage.FINAL_AWAITED: _DURING,
        _Stage.VERDICT_AWAITED: _DURING,
        _Stage.LET_IN: frozenset(map(ord, "SKNEZ")),
        _Stage.REFUSED: frozenset(),
        _Stage.READY: frozenset(_FORMS) - frozenset(map(ord, "RK")),
    }
)
"""The messages that may come at each stage."""
