"""Errors for an unreachable manager, worded so that an operator can act on them.

Decides the sentence for each kind of connection failure. Invariant: no sentence is empty, and none shows a
library's internal values.
"""

import socket
import ssl
from typing import Final
from urllib.parse import urlsplit

from common.errors import UnreachableError
from common.runtime.system_error import words_of

NO_TLS: Final = frozenset(
    {"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNEXPECTED_MESSAGE", "RECORD_LAYER_FAILURE"}
)
"""OpenSSL's error names for a peer that does not speak TLS."""

GATEWAY: Final = frozenset({502, 503, 504})
"""Statuses of a proxy that cannot reach the server behind it (RFC 9110 15.6)."""


def untrusted(url: str, error: ssl.SSLCertVerificationError | ssl.CertificateError) -> UnreachableError:
    """Return the error for an untrusted certificate."""
    found = getattr(error, "verify_message", "") or "it was not accepted"
    return UnreachableError(
        f"the certificate of {url} is not trusted: {found.rstrip('.')}. If it is the manager's own, compare and save it "
        "with 'certcast trust'; otherwise give the CA that issued it with --ca FILE, use a name that it is valid for, or skip "
        "verification with --insecure"
    )


def failed(url: str, error: OSError) -> UnreachableError:
    """Return the error for a system error while connecting."""
    match error:
        case ssl.SSLCertVerificationError():
            return untrusted(url, error)
        case ssl.SSLError():
            return no_tls(url, error)
        case TimeoutError():
            return silent(url)
        case socket.gaierror():
            return UnreachableError(f"cannot find the host {_host(url)}: {words_of(error)}. Is --url right?")
        case ConnectionResetError():
            return closed(url)
        case _:
            return UnreachableError(
                f"cannot reach {url}: {words_of(error)}. Is the manager running, and --url right?"
            )


def no_tls(url: str, error: BaseException | None) -> UnreachableError:
    """Return the error for a failed TLS handshake."""
    reason = getattr(error, "reason", "") or ""
    if reason in NO_TLS:
        return UnreachableError(f"the server at {url} does not speak TLS: is that the manager's https port?")
    detail = f" ({reason.replace('_', ' ').lower()})" if reason else ""
    return UnreachableError(f"the TLS handshake with {url} failed{detail}: is that the manager's https port?")


def silent(url: str) -> UnreachableError:
    """Return the error for a connection timeout."""
    return UnreachableError(
        f"no connection to {url} in time: is the address right, and does a firewall let it through?"
    )


def closed(url: str) -> UnreachableError:
    """Return the error for a connection closed by the peer."""
    return UnreachableError(
        f"the server at {url} closed the connection without an answer: is that the manager's https port?"
    )


def no_manager(url: str, what: str) -> UnreachableError:
    """Return the error for a server that is not a manager."""
    return UnreachableError(f"the server at {url} is not a Certcast manager: {what}. Is --url right?")


def behind_proxy(url: str, status: int) -> UnreachableError:
    """Return the error for a proxy that cannot reach the manager."""
    return UnreachableError(
        f"a proxy answers at {url}, but cannot reach the manager behind it (HTTP status {status}). Is the manager running?"
    )


def _host(url: str) -> str:
    return urlsplit(url).hostname or url
