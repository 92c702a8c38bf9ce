"""Messages of a PostgreSQL server, looked at before the driver reads them.

The driver believes what a message says of its own length and contents: a byte in the wrong place makes it read the same message for ever,
or memory that is not its own, and it answers whichever request for a password it gets. Decides which messages may come, of which size and
form, and how a server that nothing else has proven must prove itself. Does no I/O. Invariant: nothing passes from a server that is not
proven but what belongs to proving it; what passes is whole and has the form of its kind.
Source of the forms: PostgreSQL's manual, "Frontend/Backend Protocol", "Message Formats".
"""

import re
import struct
from collections.abc import Callable, Mapping
from enum import Enum, auto
from types import MappingProxyType
from typing import Final

from common.errors import Reason

HANDSHAKE_MAX_BYTES: Final = 256 * 1024
"""All that a server may send until it is ready; a server of today sends about 500 bytes."""

MESSAGE_MAX_BYTES: Final = 32 * 1024 * 1024
"""One message afterwards; the largest row of ours has a file of a bundle in it (4 MiB)."""

SCRAM_ROUNDS_MAX: Final = 100_000
"""PostgreSQL's own number is 4,096. The driver does them at once, while everything else waits: 100,000 take about 50 ms."""

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
    """A server is not talked to, or no longer. `finding` may have {user} in it."""

    def __init__(self, finding: str, reason: Reason = Reason.UNREACHABLE) -> None:
        super().__init__(finding)
        self.finding = finding
        self.reason = reason


class _Stage(Enum):
    """How far a server is with letting us in."""

    BEGINNING = auto()
    FIRST_AWAITED = auto()
    FINAL_AWAITED = auto()
    VERDICT_AWAITED = auto()
    LET_IN = auto()
    REFUSED = auto()
    READY = auto()


class Screening:
    """What one server sends. `is_proven`: it is known by other means which server it is, and nobody listens in between."""

    def __init__(self, *, is_proven: bool, has_password: bool) -> None:
        self._is_proven = is_proven
        self._has_password = has_password
        self._stage = _Stage.BEGINNING
        self._kept = bytearray()
        self._needed = _HEADER.size
        self._passed = 0

    def take(self, data: bytes) -> bytes:
        """Take what came; return the messages that are whole by now. Raises NotAcceptedError: then nothing more may pass."""
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
        # PostgreSQL's own form of three decades ago, in which it still says that it can start no process
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
        """Return how far it is after a request to prove who we are, or word that this is done."""
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
    """Whether it is fields of one letter and a text each, and the end after them."""
    return body == b"\0" or (body.endswith(b"\0\0") and all(body[:-2].split(b"\0")))


def _is_state(body: bytes) -> bool:
    return body in {b"I", b"T", b"E"}


def _is_counted(body: bytes) -> bool:
    return len(body) >= 2  # how many there are


_ROW: Final = ord("D")
_ROW_MIN_BYTES: Final = 6
"""Its own length and how many columns follow. What is in a column is read by who knows the column, from a server that is proven."""

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
"""Every message that a server may send us, and whether it has its form; nothing is copied by COPY here, and no function called."""

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
"""What may come at which stage."""
