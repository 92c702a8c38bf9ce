"""Why nobody could be asked, as an operator can act upon it.

Decides the sentence for every way in which a connection fails. Invariant: no sentence is empty, and none shows a library's own values.
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
"""OpenSSL's names for a peer that speaks something else."""

GATEWAY: Final = frozenset({502, 503, 504})
"""What a proxy answers that cannot reach what stands behind it (RFC 9110 15.6)."""


def untrusted(url: str, error: ssl.SSLCertVerificationError | ssl.CertificateError) -> UnreachableError:
    """Say that the certificate is not believed."""
    found = getattr(error, "verify_message", "") or "it was not accepted"
    return UnreachableError(
        f"the certificate of {url} is not trusted: {found.rstrip('.')}. If it is the manager's own, compare and save it "
        "with 'certcast trust'; otherwise give the CA that issued it with --ca FILE, use a name that it is valid for, or skip "
        "verification with --insecure"
    )


def failed(url: str, error: OSError) -> UnreachableError:
    """Say what the system met while it connected."""
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
    """Say that no TLS came about."""
    reason = getattr(error, "reason", "") or ""
    if reason in NO_TLS:
        return UnreachableError(f"the server at {url} does not speak TLS: is that the manager's https port?")
    detail = f" ({reason.replace('_', ' ').lower()})" if reason else ""
    return UnreachableError(f"the TLS handshake with {url} failed{detail}: is that the manager's https port?")


def silent(url: str) -> UnreachableError:
    """Say that a connection did not come about in time."""
    return UnreachableError(
        f"no connection to {url} in time: is the address right, and does a firewall let it through?"
    )


def closed(url: str) -> UnreachableError:
    """Say that the other end hung up."""
    return UnreachableError(
        f"the server at {url} closed the connection without an answer: is that the manager's https port?"
    )


def no_manager(url: str, what: str) -> UnreachableError:
    """Say that somebody else answered."""
    return UnreachableError(f"the server at {url} is not a Certcast manager: {what}. Is --url right?")


def behind_proxy(url: str, status: int) -> UnreachableError:
    """Say that a proxy answered in the manager's place."""
    return UnreachableError(
        f"a proxy answers at {url}, and does not reach the manager behind it (HTTP status {status})"
    )


def _host(url: str) -> str:
    return urlsplit(url).hostname or url
