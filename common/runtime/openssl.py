"""Canary for certificate files: loads them with OpenSSL first, as the nodes' services will.

Uses its own security context at security level 0: findings report weak keys and hashes. Files exist only in memory
(memfd), so no key reaches a disk.
Invariant: an answer is about exactly the bytes that are delivered, and "" means that OpenSSL accepted them.
"""

import os
import ssl
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from common.ids import Fingerprint
from common.pki import der
from common.pki.certificate import Certificate

_LEVEL_0: Final = "ALL:@SECLEVEL=0"
_DH: Final = "-----BEGIN DH PARAMETERS-----"

_CODECS: Final = {0x0C: "utf-8", 0x1C: "utf-32-be", 0x1E: "utf-16-be"}
_STRINGS: Final = {0x0C: "a UTF8String", 0x1C: "a UniversalString", 0x1E: "a BMPString"}


def refusals(certificates: Sequence[Certificate]) -> dict[Fingerprint, str]:
    """Return why OpenSSL cannot load some certificates. One check covers thousands if nothing is wrong."""
    if not certificates or not _refusal_of_file(certificates):
        return {}
    return {
        certificate.fingerprint: _diagnosis(certificate.der) or f"OpenSSL says: {refusal}"
        for certificate in certificates
        if (refusal := _refusal_of_file([certificate]))
    }


def refusal_of_server(fullchain_pem: str, private_key_pem: str, parameters_pem: str) -> str:
    """Return why OpenSSL cannot serve a certificate with its chain, key and parameters, "" if it can."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers(_LEVEL_0)
    try:
        with _file((fullchain_pem + private_key_pem).encode()) as path:
            # otherwise OpenSSL would ask for a passphrase on the terminal
            context.load_cert_chain(path, password="")
        if _DH in parameters_pem:
            with _file(parameters_pem.encode()) as path:
                context.load_dh_params(path)
    except (ssl.SSLError, OSError, ValueError) as error:
        return _words(error)
    return ""


def _refusal_of_file(certificates: Iterable[Certificate]) -> str:
    """Load a trust store as nginx and haproxy do, from a file."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        with _file("".join(each.pem for each in certificates).encode()) as path:
            context.load_verify_locations(cafile=path)
    except (ssl.SSLError, OSError, ValueError) as error:
        return _words(error)
    return ""


@contextmanager
def _file(data: bytes) -> Iterator[str]:
    """Lend a file that exists only in memory."""
    handle = os.memfd_create("certcast", os.MFD_CLOEXEC)
    try:
        with os.fdopen(os.dup(handle), "wb") as file:
            file.write(data)
        yield f"/proc/self/fd/{handle}"
    finally:
        os.close(handle)


def _words(error: Exception) -> str:
    reason = getattr(error, "reason", None)
    if isinstance(reason, str) and reason:
        return reason.lower().replace("_", " ")
    text = str(error).partition(" (_ssl.c")[0].partition("] ")[2] or str(error)
    return text.lower().replace("_", " ")


def _diagnosis(certificate: bytes) -> str:
    """Describe known faults: Python keeps only the last of OpenSSL's errors, which says less than the first."""
    try:
        body = der.members(der.sequence(certificate, 1)[0], der.SEQUENCE, 5)
        names = [part for part in body if part.tag == der.SEQUENCE]
        found = [
            f"its {which} has {wrong}"
            for which, name in (("issuer", names[1]), ("subject", names[3]))
            if (wrong := _broken_text(name))
        ]
    except (der.DerError, IndexError):
        return ""
    return " and ".join(found)


def _broken_text(name: der.Element) -> str:
    for part in der.children(name.content):
        for pair in der.children(part.content):
            value = der.children(pair.content)[-1]
            codec = _CODECS.get(value.tag)
            if codec is not None:
                try:
                    value.content.decode(codec)
                except UnicodeError:
                    return f"{_STRINGS[value.tag]} that is not {codec.upper().removesuffix('-BE')}"
    return ""
