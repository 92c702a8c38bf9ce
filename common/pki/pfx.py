"""Read a PKCS#12 (PFX) file: all its keys and certificates (RFC 7292).

Decides what it would cost to open from its outer structure, before anything is derived. Leaves sorting to `batch`.
Invariant: either everything in the file is returned, or PkiError is raised.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from cryptography.hazmat.primitives.serialization import Encoding, load_der_private_key, pkcs12

from common.errors import PkiError, Reason
from common.pki import der
from common.pki.binary import DATA, ENCRYPTED
from common.pki.certificate import Certificate, decode
from common.pki.kdf import check_cost, check_derivation, check_iterations, small_integer
from common.pki.keys import MAX_SEALED_KEY_BYTES, PrivateKey, check_plain_key, wrap
from common.pki.signature import DECODING_ERRORS, despite_warnings

MAX_PFX_BYTES = 1024 * 1024
MAX_BAGS = 1000

_PBMAC1 = "1.2.840.113549.1.5.14"
_BAGS = "1.2.840.113549.1.12.10.1."
_KEY, _SEALED_KEY, _NESTED = f"{_BAGS}1", f"{_BAGS}2", f"{_BAGS}6"


@dataclass(frozen=True, slots=True)
class Opened:
    """What a file held."""

    keys: tuple[PrivateKey, ...]
    certificates: tuple[Certificate, ...]


def open_pfx(data: bytes, passphrase: str | None = None) -> Opened:
    """Open a file. Raises PkiError: TOO_BIG, INVALID (passphrase), UNSUPPORTED, PARSE."""
    if len(data) > MAX_PFX_BYTES:
        raise PkiError(f"the PKCS#12 file is larger than {MAX_PFX_BYTES} bytes", reason=Reason.TOO_BIG)
    try:
        visible = list(_visible_keys(data))
    except der.DerError as error:
        raise PkiError(
            "the PKCS#12 file is damaged, or not DER; 'openssl pkcs12' may be able to rewrite it"
        ) from error
    password, loaded = _load(data, passphrase)
    keys = [wrap(loaded.key)] if loaded.key is not None else []
    if len(visible) > 1:
        # the library returns one key only
        keys.extend(_open_key(bag, password) for bag in visible)
    entries = [loaded.cert, *loaded.additional_certs]
    if not keys and not any(entries):
        raise PkiError("the PKCS#12 file is empty", reason=Reason.INVALID)
    return Opened(
        keys=tuple({key.public_key_id: key for key in keys}.values()),
        certificates=tuple(
            decode(entry.certificate.public_bytes(Encoding.DER)) for entry in entries if entry is not None
        ),
    )


def safe_contents(data: bytes) -> tuple[der.Element, ...]:
    """Return the ContentInfos of a file's AuthenticatedSafe. Raises DerError."""
    return der.sequence(_octets(_content(der.sequence(data, 2)[1], DATA)))


def _load(data: bytes, passphrase: str | None) -> tuple[bytes | None, pkcs12.PKCS12KeyAndCertificates]:
    """Load with the passphrase, else as a file without one."""
    attempts = (passphrase.encode() if passphrase else None, None, b"")
    for password in dict.fromkeys(attempts):
        try:
            return password, despite_warnings(partial(pkcs12.load_pkcs12, data, password))
        except DECODING_ERRORS:
            continue
    if not passphrase:
        raise PkiError("the PKCS#12 file is encrypted; supply its passphrase", reason=Reason.INVALID)
    raise PkiError("the passphrase is wrong, or the PKCS#12 file is damaged", reason=Reason.INVALID)


def _open_key(bag: tuple[str, bytes], password: bytes | None) -> PrivateKey:
    kind, value = bag
    try:
        return wrap(load_der_private_key(value, None if kind == _KEY else password or b""))
    except DECODING_ERRORS as error:
        raise PkiError("a private key in the PKCS#12 file cannot be opened") from error


def _visible_keys(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Check the cost of everything that can be seen, and yield the key bags (kind, value)."""
    total = _mac_iterations(der.sequence(data))
    bags = 0
    for content in safe_contents(data):
        kind = der.object_id(der.members(content, der.SEQUENCE, 1)[0])
        if kind == ENCRYPTED:
            total += check_cost(_encryption_of(content))
        elif kind == DATA:
            for bag_kind, value in _bags(_octets(_content(content, DATA))):
                bags += 1
                total += _bag_cost(bag_kind, value)
                if bag_kind in {_KEY, _SEALED_KEY}:
                    yield bag_kind, value
        else:
            raise PkiError(
                "the PKCS#12 file is encrypted in a way that is not supported", reason=Reason.UNSUPPORTED
            )
        if bags > MAX_BAGS:
            raise PkiError(f"the PKCS#12 file has more than {MAX_BAGS} entries", reason=Reason.TOO_BIG)
    check_iterations(max(total, 1))


def _bag_cost(kind: str, value: bytes) -> int:
    if kind == _NESTED:
        raise PkiError(
            "the PKCS#12 file nests its content, which is not supported", reason=Reason.UNSUPPORTED
        )
    if kind == _KEY:
        check_plain_key(value)
    if kind != _SEALED_KEY:
        return 0
    algorithm, sealed = der.sequence(value, 2)[:2]
    if len(sealed.content) > MAX_SEALED_KEY_BYTES:
        raise PkiError("a private key in the PKCS#12 file is larger than is usable", reason=Reason.TOO_BIG)
    return check_cost(algorithm.raw)


def _bags(contents: bytes) -> Iterator[tuple[str, bytes]]:
    for bag in der.sequence(contents):
        fields = der.members(bag, der.SEQUENCE, 2)
        yield der.object_id(fields[0]), der.first(fields[1].content).raw


def _mac_iterations(fields: tuple[der.Element, ...]) -> int:
    if len(fields) < 3:
        return 0
    parts = der.members(fields[2], der.SEQUENCE, 1)
    digest = der.members(parts[0], der.SEQUENCE, 1)[0]
    algorithm = der.members(digest, der.SEQUENCE, 1)
    if der.object_id(algorithm[0]) == _PBMAC1:
        return check_derivation(der.members(der.members(digest, der.SEQUENCE, 2)[1], der.SEQUENCE, 1)[0].raw)
    count = small_integer(parts[2]) if len(parts) > 2 else 1
    check_iterations(count)
    return count


def _encryption_of(content: der.Element) -> bytes:
    """Return the AlgorithmIdentifier of an EncryptedData (RFC 5652 8)."""
    body = der.members(der.first(_content(content, ENCRYPTED)), der.SEQUENCE, 2)
    return der.members(body[1], der.SEQUENCE, 2)[1].raw


def _content(info: der.Element, kind: str) -> bytes:
    """Return the explicit content of a ContentInfo of this kind."""
    fields = der.members(info, der.SEQUENCE, 2)
    if der.object_id(fields[0]) != kind:
        raise der.DerError("another content was expected")
    return fields[1].content


def _octets(data: bytes) -> bytes:
    element = der.first(data)
    if element.tag != der.OCTET_STRING:
        raise der.DerError("octets were expected")
    return element.content
