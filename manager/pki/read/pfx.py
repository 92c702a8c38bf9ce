"""Reader of PKCS#12 (PFX) files: all keys and certificates (RFC 7292), in DER or BER.

Decides from the outer structure what opening would cost, before any key is derived, and from the digest
whether the passphrase is right. Keys and certificates are checked like any others. `batch` sorts them.
Invariant: everything in the file is returned or in a finding, or PkiError is raised.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from cryptography.hazmat.primitives.serialization import Encoding, pkcs12

from common.errors import PkiError, Reason
from common.pki import der
from common.pki.certificate import Certificate, decode
from common.pki.signature import DECODING_ERRORS, despite_warnings
from manager.pki.read.ber import to_der
from manager.pki.read.binary import DATA, ENCRYPTED, SIGNED
from manager.pki.read.kdf import check_cost, check_derivation, check_iterations, small_integer
from manager.pki.read.keys import PrivateKey, check_sealed_size, open_plain_key, open_sealed_key
from manager.pki.read.pbes import (
    PBMAC1,
    deriving_once,
    is_opened_here,
    mac_matches,
    pbkdf2_of,
    unseal,
)
from manager.pki.read.schemes import UnknownSchemeError

MAX_PFX_BYTES = 1024 * 1024
MAX_BAGS = 1000

_BAGS = "1.2.840.113549.1.12.10.1."
_KEY, _SEALED_KEY, _CERTIFICATE = f"{_BAGS}1", f"{_BAGS}2", f"{_BAGS}3"
_OTHER_BAGS = {
    f"{_BAGS}4": "a certificate revocation list",
    f"{_BAGS}5": "a secret that is not a private key",
    f"{_BAGS}6": "content that is nested in it",
}
_X509 = "1.2.840.113549.1.9.22.1"
_CONTEXT_0 = 0xA0
_DAMAGED = "the PKCS#12 file is damaged"
_WRONG = "the passphrase is wrong, or the PKCS#12 file is damaged"


@dataclass(frozen=True, slots=True)
class Opened:
    """A file's content; `findings` are about entries that cannot be used."""

    keys: tuple[PrivateKey, ...]
    certificates: tuple[Certificate, ...]
    findings: tuple[PkiError, ...] = ()


def open_pfx(data: bytes, passphrase: str | None = None) -> Opened:
    """Open a file. Raises PkiError: TOO_BIG, INVALID (passphrase), UNSUPPORTED, PARSE."""
    if len(data) > MAX_PFX_BYTES:
        raise PkiError(f"the PKCS#12 file is larger than {MAX_PFX_BYTES} bytes", reason=Reason.TOO_BIG)
    try:
        with deriving_once():
            return _open(data, passphrase or "")
    except UnknownSchemeError as error:
        raise error.of_pfx() from error
    except der.DerError as error:
        raise PkiError(_DAMAGED) from error


def safe_contents(data: bytes) -> tuple[der.Element, ...]:
    """Return the ContentInfos of a file's AuthenticatedSafe. Raises DerError."""
    return der.sequence(to_der(_authenticated(der.sequence(to_der(data), 2))))


def plain_bags(data: bytes) -> tuple[der.Element, ...]:
    """Return the SafeBags of a file that is not encrypted. Raises DerError."""
    contents = (_octets(_content(each, DATA)) for each in safe_contents(data))
    return tuple(bag for each in contents for bag in der.sequence(each))


def _authenticated(fields: tuple[der.Element, ...]) -> bytes:
    """Return the octets under the file's digest, which may be in BER.

    Raises PkiError UNSUPPORTED, DerError.
    """
    if der.object_id(der.members(fields[1], der.SEQUENCE, 1)[0]) == SIGNED:
        raise PkiError(
            "the PKCS#12 file is signed with a key instead of a passphrase, which is not supported",
            reason=Reason.UNSUPPORTED,
        )
    return _octets(_content(fields[1], DATA))


def _open(data: bytes, passphrase: str) -> Opened:
    fields = der.sequence(to_der(data), 2)
    authenticated = _authenticated(fields)
    contents = der.sequence(to_der(authenticated))
    _check_cost(fields, contents)
    password = _password(fields, authenticated, passphrase)
    entries = _Entries(password, is_proven=len(fields) > 2)
    for content in contents:
        if der.object_id(der.members(content, der.SEQUENCE, 1)[0]) == DATA:
            entries.take(_octets(_content(content, DATA)))
            continue
        algorithm, sealed = _encrypted(content)
        if is_opened_here(algorithm):
            entries.take(entries.unsealed(algorithm, sealed))
        else:
            entries.take_certificates(_by_library(data, password))
    if not entries.keys and not entries.certificates and not entries.findings:
        raise PkiError("the PKCS#12 file is empty", reason=Reason.INVALID)
    return Opened(tuple(entries.keys.values()), tuple(entries.certificates), tuple(entries.findings))


class _Entries:
    """Collects the content of the bags."""

    def __init__(self, password: str, *, is_proven: bool) -> None:
        self._password = password
        self._wrong = _DAMAGED if is_proven else _WRONG
        self.keys: dict[str, PrivateKey] = {}
        self.certificates: dict[Certificate, None] = {}
        self.findings: list[PkiError] = []

    def unsealed(self, algorithm: bytes, sealed: bytes) -> bytes:
        """Decrypt a ContentInfo. Raises PkiError."""
        try:
            plain = unseal(algorithm, sealed, self._password)
            der.sequence(to_der(plain))
        except (PkiError, der.DerError) as error:
            if not self._password:
                raise _missing() from error
            raise PkiError(self._wrong, reason=Reason.INVALID) from error
        return plain

    def take(self, contents: bytes) -> None:
        """Collect a SafeContents; an entry that cannot be used becomes a finding."""
        for kind, value in _bags(contents):
            try:
                self._take_bag(kind, value)
            except PkiError as error:
                self.findings.append(error)

    def take_certificates(self, found: Iterator[bytes]) -> None:
        """Collect certificates in DER."""
        for data in found:
            try:
                self.certificates.setdefault(decode(data))
            except PkiError as error:
                self.findings.append(_in_file(error))

    def _take_bag(self, kind: str, value: bytes) -> None:
        if kind == _CERTIFICATE:
            self.take_certificates(iter([_certificate(value)]))
        elif kind in {_KEY, _SEALED_KEY}:
            try:
                key = open_plain_key(value) if kind == _KEY else open_sealed_key(value, self._password)
            except UnknownSchemeError as error:
                raise error.of_pfx() from error
            except PkiError as error:
                if error.reason is Reason.INVALID:
                    # without a digest, a wrong passphrase shows here
                    raise (
                        PkiError(self._wrong, reason=Reason.INVALID) if self._password else _missing()
                    ) from error
                raise _in_file(error) from error
            self.keys.setdefault(key.public_key_id, key)
        else:
            what = _OTHER_BAGS.get(kind, "an entry of an unknown kind")
            raise PkiError(
                f"the PKCS#12 file has {what}, which cannot be used here", reason=Reason.UNSUPPORTED
            )


def _in_file(error: PkiError) -> PkiError:
    return PkiError(f"in the PKCS#12 file, {error.message}", reason=error.reason)


def _missing() -> PkiError:
    return PkiError("the PKCS#12 file is encrypted; supply its passphrase", reason=Reason.INVALID)


def _password(fields: tuple[der.Element, ...], authenticated: bytes, passphrase: str) -> str:
    """Return the passphrase that the file's digest confirms: the given one, or none.

    Raises PkiError INVALID.
    """
    if len(fields) < 3:
        return passphrase
    for candidate in dict.fromkeys((passphrase, "")):
        if mac_matches(fields[2], authenticated, candidate):
            return candidate
    if not passphrase:
        raise _missing()
    raise PkiError(_WRONG, reason=Reason.INVALID)


def _by_library(data: bytes, password: str) -> Iterator[bytes]:
    """Return the certificates that the library finds. Raises PkiError."""
    try:
        loaded = despite_warnings(partial(pkcs12.load_pkcs12, data, password.encode() or None))
    except DECODING_ERRORS as error:
        raise PkiError(
            "the PKCS#12 file is encrypted in a way that is not supported, or one of its entries is damaged; "
            "'openssl pkcs12' may be able to rewrite it",
            reason=Reason.UNSUPPORTED,
        ) from error
    entries = [loaded.cert, *loaded.additional_certs]
    return iter([one.certificate.public_bytes(Encoding.DER) for one in entries if one is not None])


def _check_cost(fields: tuple[der.Element, ...], contents: tuple[der.Element, ...]) -> None:
    """Add up the cost of opening all visible parts; equal derivations count once.

    Raises PkiError TOO_BIG, UNSUPPORTED, DerError.
    """
    total, bags, known = _mac_iterations(fields), 0, set[bytes]()
    for content in contents:
        kind = der.object_id(der.members(content, der.SEQUENCE, 1)[0])
        if kind == ENCRYPTED:
            sealing = _encrypted(content)[0]
            # report it before asking for a passphrase that would not help
            is_opened_here(sealing)
            total += _new_cost(sealing, known)
        elif kind == DATA:
            for bag_kind, value in _bags(_octets(_content(content, DATA))):
                bags += 1
                if bag_kind == _SEALED_KEY:
                    algorithm, sealed = der.sequence(value, 2)[:2]
                    check_sealed_size(sealed.content)
                    total += _new_cost(algorithm.raw, known)
        else:
            raise PkiError(
                "the PKCS#12 file is encrypted in a way that is not supported", reason=Reason.UNSUPPORTED
            )
        if bags > MAX_BAGS:
            raise PkiError(f"the PKCS#12 file has more than {MAX_BAGS} entries", reason=Reason.TOO_BIG)
    check_iterations(max(total, 1))


def _new_cost(algorithm: bytes, known: set[bytes]) -> int:
    """Return the cost of derivations that are not known yet, and add them to the known ones."""
    cost, derivation = check_cost(algorithm), pbkdf2_of(algorithm)
    if derivation is None:
        return cost
    if derivation in known:
        return 0
    known.add(derivation)
    return cost


def _bags(contents: bytes) -> Iterator[tuple[str, bytes]]:
    for count, bag in enumerate(der.sequence(to_der(contents))):
        if count >= MAX_BAGS:
            raise PkiError(f"the PKCS#12 file has more than {MAX_BAGS} entries", reason=Reason.TOO_BIG)
        fields = der.members(bag, der.SEQUENCE, 2)
        yield der.object_id(fields[0]), der.first(fields[1].content).raw


def _certificate(value: bytes) -> bytes:
    """Return the certificate in a CertBag (RFC 7292 4.2.3)."""
    kind, inside = der.sequence(value, 2)[:2]
    if der.object_id(kind) != _X509 or inside.tag != _CONTEXT_0:
        raise PkiError("the PKCS#12 file has a certificate that is not X.509", reason=Reason.UNSUPPORTED)
    return _octets(inside.content)


def _mac_iterations(fields: tuple[der.Element, ...]) -> int:
    if len(fields) < 3:
        return 0
    parts = der.members(fields[2], der.SEQUENCE, 1)
    digest = der.members(parts[0], der.SEQUENCE, 1)[0]
    algorithm = der.members(digest, der.SEQUENCE, 1)
    if der.object_id(algorithm[0]) == PBMAC1:
        return check_derivation(der.members(der.members(digest, der.SEQUENCE, 2)[1], der.SEQUENCE, 1)[0].raw)
    count = small_integer(parts[2]) if len(parts) > 2 else 1
    check_iterations(count)
    return count


def _encrypted(content: der.Element) -> tuple[bytes, bytes]:
    """Return an EncryptedData's AlgorithmIdentifier and ciphertext (RFC 5652 8), whole even from BER."""
    body = der.members(der.first(_content(content, ENCRYPTED)), der.SEQUENCE, 2)
    info = der.members(body[1], der.SEQUENCE, 3)
    sealed = info[2]
    if sealed.tag == _CONTEXT_0:
        return info[1].raw, b"".join(piece.content for piece in der.children(sealed.content))
    return info[1].raw, sealed.content


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
