"""Translation of PostgreSQL's failures into our words: which one it is, and what to do about it.

Decides by SQLSTATE (PostgreSQL's manual, appendix A) and by the kind of error, never by the server's text,
which may be in any language. Invariant: no message contains a password or a value.
"""

import errno
import os
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import asyncpg  # type: ignore[import-untyped]  # it has annotations, and does not say so
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from common.errors import Reason, StorageError
from manager.store.address import ServerAddress, ServerHost
from manager.store.message_screen import NOT_POSTGRESQL, NotAcceptedError

LOST: Final = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)
"""Errors of the driver for a connection that cannot be made or breaks; the third if it breaks within a
message."""

UNREADABLE: Final = (AttributeError, LookupError, TypeError, ValueError)
"""Its errors for a server that is not PostgreSQL, or that does not prove its identity."""

UNKNOWN_OUTCOME: Final = "{at} was lost while it kept this change, so whether it was kept is not known; look before you do it again"

_STOPPING: Final = frozenset({"57P01", "57P02", "57P03"})
"""The server is being stopped, has crashed, or starts."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why one host refused a connection."""

    finding: str
    reason: Reason


_REFUSALS: Final[tuple[tuple[type[BaseException], str, Reason], ...]] = (
    (
        TimeoutError,
        "no answer within {seconds} s; it stands still, or something in between drops what is sent to it",
        Reason.TIMEOUT,
    ),
    (
        socket.gaierror,
        "its name cannot be resolved; correct it, or see to the name server",
        Reason.UNREACHABLE,
    ),
    (
        asyncpg.InvalidPasswordError,
        "the password of '{user}' is wrong, or there is no such role",
        Reason.UNAUTHENTICATED,
    ),
    (
        asyncpg.InvalidAuthorizationSpecificationError,
        "it does not let '{user}' in from here; see pg_hba.conf there",
        Reason.UNAUTHENTICATED,
    ),
    (
        asyncpg.InvalidCatalogNameError,
        "there is no database '{name}'; make it with: CREATE DATABASE",
        Reason.NOT_FOUND,
    ),
    (
        asyncpg.InsufficientPrivilegeError,
        "'{user}' may not connect to the database '{name}'; let it with: GRANT CONNECT ON DATABASE",
        Reason.PERMISSION,
    ),
    (
        asyncpg.ObjectNotInPrerequisiteStateError,
        "the database '{name}' takes no connections; let it with: ALTER DATABASE ... ALLOW_CONNECTIONS true",
        Reason.UNREACHABLE,
    ),
    (
        asyncpg.TooManyConnectionsError,
        "it has no connection left; end others, or see max_connections there",
        Reason.BUSY,
    ),
    (
        asyncpg.InterfaceError,
        "it did not prove that it knows the password of '{user}', as the server would; find out which program has that port",
        Reason.UNAUTHENTICATED,
    ),
    (
        asyncpg.CannotConnectNowError,
        "it is starting, stopping or recovering; it is tried again by itself",
        Reason.UNREACHABLE,
    ),
    (
        asyncpg.OperatorInterventionError,
        "it is being stopped; it is tried again by itself",
        Reason.UNREACHABLE,
    ),
)
"""The meanings of errors while connecting; the first match counts."""

_OF_ROLE: Final = "InitializeSessionUserId"
_OF_DATABASE: Final = "CheckMyDatabase"
_REFUSALS_BY_PLACE: Final[Mapping[tuple[str, str], tuple[str, Reason]]] = {
    ("28000", _OF_ROLE): (
        "there is no role '{user}' that may log in; make it with CREATE ROLE ... LOGIN, or let it with ALTER ROLE ... LOGIN",
        Reason.UNAUTHENTICATED,
    ),
    ("53300", _OF_ROLE): (
        "the role '{user}' has no connection left; raise its limit with: ALTER ROLE ... CONNECTION LIMIT",
        Reason.BUSY,
    ),
    ("53300", _OF_DATABASE): (
        "the database '{name}' has no connection left; raise its limit with: ALTER DATABASE ... CONNECTION LIMIT",
        Reason.BUSY,
    ),
}
"""Meanings of ambiguous SQLSTATEs, by the server's function that raised them, whose name is never
translated."""

_UNREACHED: Final[Mapping[int, str]] = {
    errno.ECONNREFUSED: "start the server, or correct the host and port",
    errno.ENOENT: "start the server, or correct 'host' and the port",
    errno.EACCES: "let this account into the directory of the socket",
    **dict.fromkeys((errno.EHOSTUNREACH, errno.ENETUNREACH), "see to the network, or correct the host"),
    errno.ECONNRESET: "it ended the connection; see its log",
}
"""What to do about an error of the operating system."""

_FAILURES: Final[Mapping[str, tuple[str, Reason]]] = {
    "57014": (
        "{at} took too long for a statement and was told to stop; it is overloaded, or its disk is slow",
        Reason.TIMEOUT,
    ),
    "55P03": ("another process has held the store for too long; try again", Reason.BUSY),
    "40001": ("the store was changed at the same time; try again", Reason.BUSY),
    "40P01": ("the store was changed at the same time; try again", Reason.BUSY),
    "25P03": ("this change stood still for too long, so the server undid it; try again", Reason.BUSY),
    "53100": ("the disk of {at} is full; free space there, then try again", Reason.NO_SPACE),
    "53200": ("{at} is out of memory; see its log", Reason.BUSY),
    "53300": ("{at} has no connection left; end others, or see max_connections there", Reason.BUSY),
    "25006": (
        "the store cannot be written: {at} became a replica, or default_transaction_read_only was switched on there",
        Reason.UNREACHABLE,
    ),
    "42501": (
        "{at}: the role has no right to do this; let it own the database and the schema",
        Reason.PERMISSION,
    ),
    "3F000": (
        "{at}: the role's search_path names no schema that is there; set it, or make the schema",
        Reason.NOT_FOUND,
    ),
    "58030": ("{at} cannot read or write its files; see its log", Reason.STORAGE),
    "XX001": ("{at} found its files damaged; see its log", Reason.STORAGE),
    "XX002": ("{at} found its files damaged; see its log", Reason.STORAGE),
    **dict.fromkeys(_STOPPING, ("{at} is being stopped or started; try again", Reason.UNREACHABLE)),
}
"""Meanings of SQLSTATEs on an established connection."""

_CERTIFICATES: Final[Mapping[int, str]] = {
    10: "the server's certificate has expired; renew it there",
    62: "the server's certificate is for another name; use one that it is for, or renew it for this one",
    64: "the server's certificate is for another address; use a name that it is for, or renew it for this one",
    **dict.fromkeys(
        (18, 19, 20, 21),
        "the server's certificate is of a CA that is not trusted here; name that CA's file by 'sslrootcert'",
    ),
}
"""Meanings of OpenSSL's verification codes (X509_V_ERR_*)."""


def refusal_of(error: BaseException, address: ServerAddress, *, user: str) -> Refusal:
    """Return why `user` could not connect."""
    for own in (error, error.__cause__):
        if isinstance(own, NotAcceptedError):
            return Refusal(own.finding.format(user=user, name=address.name), own.reason)
    if isinstance(error, ssl.SSLError):
        return Refusal(_tls_finding(error), Reason.UNREACHABLE)
    if type(error) is ConnectionError and address.is_verified:
        return Refusal(
            "it speaks no TLS; set ssl = on there, with a certificate for its name", Reason.UNREACHABLE
        )
    place = (_state(error), getattr(error, "server_source_function", None) or "")
    by_kind = ((finding, reason) for kind, finding, reason in _REFUSALS if isinstance(error, kind))
    known = _REFUSALS_BY_PLACE.get(place) or next(by_kind, None)
    if known is not None:
        finding, reason = known
        said = finding.format(user=user, name=address.name, seconds=address.connect_timeout_s)
        return Refusal(said, reason)
    if isinstance(error, OSError):
        return Refusal(_unreached(error), Reason.UNREACHABLE)
    if isinstance(error, UNREADABLE) and not isinstance(error, LOST):
        return Refusal(NOT_POSTGRESQL, Reason.UNREACHABLE)
    return Refusal(f"it refused ({_state(error)}); see its log", Reason.UNREACHABLE)


def _tls_finding(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        known = _CERTIFICATES.get(error.verify_code)
        return known or f"the server's certificate is not accepted ({error.verify_message})"
    return f"TLS failed ({error.reason or 'no reason given'}); see its log"


def _unreached(error: OSError) -> str:
    # asyncio's text repeats the address; for a name with several addresses it has no error number
    found = os.strerror(error.errno).lower() if error.errno else "no connection to any of its addresses"
    step = _UNREACHED.get(error.errno or errno.ECONNREFUSED, "see to the network and the server's log")
    return f"{found}; {step}"


def summed_up(refused: Mapping[ServerHost, Refusal]) -> StorageError:
    """Combine all hosts' refusals into one error, which has the first host's reason."""
    said = "; ".join(f"{host}: {refusal.finding}" for host, refusal in refused.items())
    reason = next(iter(refused.values())).reason
    return StorageError(f"PostgreSQL cannot be reached: {said}", reason=reason)


def explain(error: SQLAlchemyError | OSError, *, at: str, committing: bool) -> StorageError | None:
    """Return what an error on a connection means, None if it is not PostgreSQL's."""
    if isinstance(error, PoolTimeoutError):
        return StorageError(
            "all of this manager's connections to PostgreSQL are in use; try again", reason=Reason.BUSY
        )
    original = error.orig if isinstance(error, DBAPIError) else error
    state = getattr(original, "sqlstate", None) or ""
    is_late = isinstance(original, TimeoutError)
    is_cut = state.startswith("08") or isinstance(original, ConnectionError)
    is_cut = is_cut or (isinstance(error, DBAPIError) and error.connection_invalidated)
    # an error of the driver itself: the statement was never sent
    was_sent = not isinstance(getattr(original, "__cause__", None), asyncpg.InterfaceError)
    is_open = state in _STOPPING or is_late or (is_cut and state not in _FAILURES)
    if committing and was_sent and is_open:
        return StorageError(UNKNOWN_OUTCOME.format(at=at), reason=Reason.OUTCOME_UNKNOWN)
    if is_late:
        return StorageError(f"{at} did not answer in time", reason=Reason.TIMEOUT)
    if state in _FAILURES:
        sentence, reason = _FAILURES[state]
        return StorageError(sentence.format(at=at), reason=reason)
    if is_cut:
        return StorageError(
            f"the connection to {at} was lost; nothing was changed", reason=Reason.UNREACHABLE
        )
    return None


def _state(error: BaseException) -> str:
    return getattr(error, "sqlstate", None) or type(error).__name__
