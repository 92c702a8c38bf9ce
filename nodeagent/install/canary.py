"""OpenSSL canary: whether services can load the files of a bundle.

Decides by loading each part with OpenSSL as a service does, at its lowest security level, so that it refuses only
files that cannot be loaded at all. Leaves weak, untrusted and expired certificates to others.
Invariant: never prompts for a passphrase, writes nothing to disk, and no context outlives its check.
Blocking; every function is called in a thread.
"""

import os
import re
import ssl
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import PurePath
from typing import Final

from common.bundle.manifest import FULLCHAIN, PRIVKEY, SLOTS, TRUST, TRUST_FILES
from common.bundle.parts import Part
from common.bundle.verify import PartFault
from common.errors import Reason
from common.ids import digest_of
from common.pki import der

_CERTIFICATE: Final = re.compile(
    b"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----[ \\t]*\\r?\\n?", re.DOTALL
)

_VERSION: Final = 0xA0
"""The tag before a version, which a certificate of version 1 leaves out (RFC 5280 4.1)."""

NAME_MAX_CHARS: Final = 100


def find_refused(bodies: Mapping[str, bytes], parts: Iterable[Part]) -> tuple[PartFault, ...]:
    """Return the faults that OpenSSL finds in these parts, at most one each. Ignores missing files."""
    chosen = frozenset(parts)
    faults = [_try_slot(slot, bodies) for slot in SLOTS if slot in chosen and f"{slot}/{PRIVKEY}" in bodies]
    if "trust" in chosen:
        tried = (_try_anchors(f"{TRUST}/{name}", bodies.get(f"{TRUST}/{name}", b"")) for name in TRUST_FILES)
        faults.append(next((fault for fault in tried if fault is not None), None))
    return tuple(fault for fault in faults if fault is not None)


def loadable(body: bytes) -> bytes:
    """Return the certificates of a trust store that OpenSSL can load, in order."""
    if _why_not_anchors(body) is None:
        return body
    return b"".join(block for block in _CERTIFICATE.findall(body) if _why_not_anchors(block) is None)


def _try_anchors(file: str, body: bytes) -> PartFault | None:
    why = _why_not_anchors(body)
    if why is None:
        return None
    certificate, own = _culprit(body)
    return PartFault(
        part="trust",
        reason=Reason.PARSE,
        message=f"OpenSSL refuses to load it: {own or why}",
        file=file,
        certificate=certificate,
    )


def _try_slot(slot: Part, bodies: Mapping[str, bytes]) -> PartFault | None:
    fullchain, key = bodies[f"{slot}/{FULLCHAIN}"], bodies[f"{slot}/{PRIVKEY}"]
    why = _why_not_chain(fullchain, key)
    if why is None:
        return None
    certificate, own = _culprit(fullchain)
    return PartFault(
        part=slot,
        reason=Reason.PARSE,
        message=f"OpenSSL refuses to load it: {own or why}",
        file=f"{slot}/{FULLCHAIN}",
        certificate=certificate,
    )


def _culprit(body: bytes) -> tuple[str, str]:
    """Return the first certificate of a file that OpenSSL refuses by itself, and the message; "" if none."""
    for number, block in enumerate(_CERTIFICATE.findall(body), start=1):
        if (why := _why_not_anchors(block)) is not None:
            return f"certificate {number} ({_name(block)})", why
    return "", ""


def _why_not_anchors(body: bytes) -> str | None:
    if not body.strip():
        return None
    with _in_memory(body) as path:
        try:
            _context().load_verify_locations(cafile=path)
        except ssl.SSLError as error:
            return _words(error)
    return None


def _why_not_chain(fullchain: bytes, key: bytes) -> str | None:
    with _in_memory(fullchain) as certificates, _in_memory(key) as private:
        try:
            # answers here, since OpenSSL would ask on the terminal for the passphrase of an encrypted key
            _context().load_cert_chain(certificates, private, password=lambda: "-")
        except ssl.SSLError as error:
            return _words(error)
    return None


def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers("ALL:@SECLEVEL=0")
    return context


def _words(error: ssl.SSLError) -> str:
    words = (error.reason or "").lower().replace("_", " ")
    # Python reports the last of several errors, which for an encoding only names the library
    return "its encoding is not valid" if not words or words.endswith(" lib") else words


def _name(block: bytes) -> str:
    """Return a certificate's subject, or its fingerprint if the subject cannot be read."""
    try:
        raw = ssl.PEM_cert_to_DER_cert(block.decode("ascii").strip())
    except (ValueError, UnicodeDecodeError):
        return "no valid PEM"
    try:
        name = ", ".join(_subject(raw))
    except (der.DerError, IndexError):
        name = ""
    name = name or f"SHA-256 {digest_of(raw)}"
    return name if len(name) <= NAME_MAX_CHARS else name[: NAME_MAX_CHARS - 1] + "…"


def _subject(raw: bytes) -> Iterator[str]:
    """Yield the values of a certificate's subject, with a replacement for bytes that are not text."""
    certificate = der.sequence(raw)
    fields = der.members(certificate[0], der.SEQUENCE)
    if fields[0].tag == _VERSION:
        fields = fields[1:]
    for part in der.members(fields[4], der.SEQUENCE):
        for pair in der.members(part, der.SET):
            value = der.members(pair, der.SEQUENCE)[1]
            text = value.content.decode("utf-8", errors="replace")
            yield "".join(one if one.isprintable() else "\ufffd" for one in text)


@contextmanager
def _in_memory(body: bytes) -> Iterator[str]:
    """Lend a path to these bytes, which exist only in memory."""
    descriptor = os.memfd_create("canary", os.MFD_CLOEXEC)
    try:
        with os.fdopen(descriptor, "wb", closefd=False) as file:
            file.write(body)
        yield str(PurePath("/proc/self/fd") / str(descriptor))
    finally:
        os.close(descriptor)
