"""Export of certificates, chains and keys in the formats that other products read.

Decides file names and formats (the specification's "Downloading an existing TLS certificate"). The manager
authorises and audits. Invariants: a key never leaves unencrypted; a temporary certificate never leaves at
all. Encrypting keys takes a second: run it off the loop.
"""

import base64
import hashlib
import hmac
import re
import secrets
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
    pkcs12,
)

from common.codes import Format
from common.errors import InvalidInputError, PkiError, Reason
from common.pki import der
from common.pki.certificate import Certificate, load
from manager.pki.judge.status import is_temporary
from manager.pki.read.keys import PrivateKey, wrap
from manager.pki.read.pbes import MAC_ID, bmp, derive_pkcs12
from manager.pki.read.pfx import plain_bags, safe_contents
from manager.pki.write.seal import MAC_ROUNDS, Sealer, check_passphrase

CA_FILE_NAME = "ca-certificates.pem"
"""The specification's "Download all certificates"."""

MAX_FILE_STEM_CHARS = 120

_LEGACY_ROUNDS = 2048
_SALT_BYTES = 16
_SAFE_CHARS = re.compile(r"[^A-Za-z0-9._-]+")
_DATA_OID = der.encode_object_id("1.2.840.113549.1.7.1")
_ENCRYPTED_OID = der.encode_object_id("1.2.840.113549.1.7.6")
_KEY_BAG = "1.2.840.113549.1.12.10.1.1"
_SEALED_KEY_BAG_OID = der.encode_object_id("1.2.840.113549.1.12.10.1.2")
_DIGEST_OIDS = {"sha256": bytes.fromhex("0609608648016503040201"), "sha1": bytes.fromhex("06052b0e03021a")}


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportItem:
    """One certificate to export, with its intermediates and its key (PKCS#8 PEM, secret)."""

    leaf: Certificate
    chain: tuple[Certificate, ...] = ()
    private_key_pem: str | None = field(default=None, repr=False)
    include_leaf: bool = True


@dataclass(frozen=True, slots=True)
class Download:
    """A file for the user."""

    name: str
    content: bytes = field(repr=False)


def export(items: Sequence[ExportItem], form: Format, *, passphrase: str | None = None) -> Download:
    """Write one or several certificates into one file.

    Raises PkiError UNSUPPORTED for a temporary certificate; InvalidInputError: `passphrase` if a key is
    included and it is missing or too weak, `items` if there are none.
    """
    with_key = any(item.private_key_pem is not None for item in items)
    for item in items:
        if is_temporary(item.leaf):
            raise PkiError(
                f"'{item.leaf.label}' is a temporary (self-signed) certificate and cannot be downloaded",
                reason=Reason.UNSUPPORTED,
            )
    if not any(item.include_leaf or item.chain or item.private_key_pem for item in items):
        raise InvalidInputError("items", "there is nothing to download")
    if with_key:
        # the file itself says whose keys it has
        names = {name for each in items for name in (each.leaf.subject_name, *each.leaf.subject_alt_names)}
        check_passphrase(passphrase, tuple(names))
    name = file_name([item.leaf for item in items], with_key=with_key, form=form)
    if form is Format.PEM:
        return Download(name, _pem(items, passphrase))
    if form is Format.PFX and passphrase:
        return Download(name, _sealed_pfx(items, passphrase))
    return Download(name, _pfx(items, passphrase))


def file_name(leaves: Sequence[Certificate], *, with_key: bool, form: Format) -> str:
    """Return the specification's name: `<subject>_certificate.pem`, `all_keycerts.pfx` and so on."""
    suffix = "pem" if form is Format.PEM else "pfx"
    if len(leaves) > 1:
        return f"all_{'keycerts' if with_key else 'certificates'}.{suffix}"
    label = leaves[0].display_name
    # the remaining characters cannot leave the directory, hide the file, or break a header
    stem = _SAFE_CHARS.sub("_", label)[:MAX_FILE_STEM_CHARS].strip(".") or "unnamed"
    return f"{stem}_{'keycert' if with_key else 'certificate'}.{suffix}"


def trusted_pem(certificates: Iterable[Certificate]) -> Download:
    """Write trusted CAs one after another."""
    return Download(CA_FILE_NAME, "".join(one.pem for one in certificates).encode())


def _certificates(item: ExportItem) -> tuple[Certificate, ...]:
    return (item.leaf, *item.chain) if item.include_leaf else item.chain


def _key(item: ExportItem) -> PrivateKey | None:
    if item.private_key_pem is None:
        return None
    return wrap(load_pem_private_key(item.private_key_pem.encode(), None))


def _pem(items: Iterable[ExportItem], passphrase: str | None) -> bytes:
    parts: list[bytes] = []
    sealer = Sealer(passphrase) if passphrase and any(item.private_key_pem for item in items) else None
    for item in items:
        parts.extend(certificate.pem.encode() for certificate in _certificates(item))
        key = _key(item)
        if key is not None and sealer is not None:
            plain = key.loaded.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
            parts.append(_armoured(sealer.seal_key(plain)))
    return b"".join(parts)


def _armoured(sealed_key: bytes) -> bytes:
    lines = textwrap.wrap(base64.b64encode(sealed_key).decode(), 64)
    marks = "-----BEGIN ENCRYPTED PRIVATE KEY-----", "-----END ENCRYPTED PRIVATE KEY-----"
    return "\n".join([marks[0], *lines, marks[1], ""]).encode()


def _sealed_pfx(items: Sequence[ExportItem], passphrase: str) -> bytes:
    """Write encrypted keys and certificates.

    The library supports one key per file, and a MAC of 2,048 rounds.
    """
    sealer, written = Sealer(passphrase), set[Certificate]()
    keys: list[bytes] = []
    certificates: list[bytes] = []
    for item in items:
        for bag in plain_bags(_one_pfx(item, NoEncryption(), frozenset(written))):
            kind, value, *attributes = der.sequence(bag.raw)
            if der.object_id(kind) != _KEY_BAG:
                certificates.append(bag.raw)
                continue
            sealed = der.encode(0xA0, sealer.seal_key(value.content))
            rest = b"".join(each.raw for each in attributes)
            keys.append(der.encode(der.SEQUENCE, _SEALED_KEY_BAG_OID + sealed + rest))
        written.update(item.chain)
    contents = (
        [_sealed_content(sealer, der.encode(der.SEQUENCE, b"".join(certificates)))] if certificates else []
    )
    if keys:
        contents.append(_content(der.encode(der.SEQUENCE, b"".join(keys))))
    return _join(contents, passphrase, digest="sha256", rounds=MAC_ROUNDS)


def _sealed_content(sealer: Sealer, safe: bytes) -> bytes:
    """Return a ContentInfo of EncryptedData (RFC 5652 8)."""
    algorithm, sealed = sealer.seal(safe)
    info = der.encode(der.SEQUENCE, _DATA_OID + algorithm + der.encode(0x80, sealed))
    data = der.encode(der.SEQUENCE, der.encode_integer(0) + info)
    return der.encode(der.SEQUENCE, _ENCRYPTED_OID + der.encode(0xA0, data))


def _content(octets: bytes) -> bytes:
    """Return a ContentInfo of Data."""
    return der.encode(der.SEQUENCE, _DATA_OID + der.encode(0xA0, der.encode(der.OCTET_STRING, octets)))


def _pfx(items: Sequence[ExportItem], passphrase: str | None) -> bytes:
    """Write an unencrypted file, or one of the legacy profile."""
    encryption = _legacy(passphrase) if passphrase else NoEncryption()
    if len(items) == 1:
        return _one_pfx(items[0], encryption, frozenset())
    written: set[Certificate] = set()
    contents: list[bytes] = []
    for item in items:
        single = _one_pfx(item, encryption, frozenset(written))
        written.update(item.chain)
        contents.extend(part.raw for part in safe_contents(single))
    return _join(contents, passphrase, digest="sha1", rounds=_LEGACY_ROUNDS)


def _one_pfx(
    item: ExportItem, encryption: KeySerializationEncryption, written: frozenset[Certificate]
) -> bytes:
    """Write one certificate's file; intermediates that another part of the same file has are left out."""
    key = _key(item)
    chain = [pkcs12.PKCS12Certificate(_loaded(one), None) for one in item.chain if one not in written]
    name = item.leaf.label.encode()
    leaf = _loaded(item.leaf)
    if key is None and item.include_leaf:
        # without a key there is nothing that the leaf would pair with: it is one of the certificates
        chain.insert(0, pkcs12.PKCS12Certificate(leaf, name))
    return pkcs12.serialize_key_and_certificates(
        name if key is not None else None,
        key.loaded if key is not None else None,
        leaf if key is not None and item.include_leaf else None,
        chain,
        encryption,
    )


def _loaded(certificate: Certificate) -> x509.Certificate:
    try:
        return load(certificate.der)
    except PkiError as error:
        why = certificate.oddities[0] if certificate.oddities else "A field of it cannot be decoded."
        raise PkiError(
            f"'{certificate.label}' cannot be written as PKCS#12, since it is not encoded as it must be: {why} Choose PEM.",
            reason=Reason.UNSUPPORTED,
        ) from error


def _legacy(passphrase: str) -> KeySerializationEncryption:
    return (
        PrivateFormat.PKCS12.encryption_builder()
        .kdf_rounds(_LEGACY_ROUNDS)
        .key_cert_algorithm(pkcs12.PBES.PBESv1SHA1And3KeyTripleDESCBC)
        .hmac_hash(hashes.SHA1())  # noqa: S303 - the old devices this is for know nothing newer
        .build(passphrase.encode())
    )


def _join(contents: Iterable[bytes], passphrase: str | None, *, digest: str, rounds: int) -> bytes:
    """Put contents into one file, with a MAC where there is a passphrase (RFC 7292 4)."""
    safe = der.encode(der.SEQUENCE, b"".join(contents))
    parts = [der.encode_integer(3), _content(safe)]
    if passphrase:
        parts.append(_mac(safe, passphrase, digest, rounds))
    return der.encode(der.SEQUENCE, b"".join(parts))


def _mac(safe: bytes, passphrase: str, digest: str, rounds: int) -> bytes:
    salt = secrets.token_bytes(_SALT_BYTES)
    octets = hashlib.new(digest).digest_size
    key = derive_pkcs12(digest, bmp(passphrase), salt, rounds, purpose=MAC_ID, octets=octets)
    value = hmac.digest(key, safe, digest)
    algorithm = der.encode(der.SEQUENCE, _DIGEST_OIDS[digest] + b"\x05\x00")
    info = der.encode(der.SEQUENCE, algorithm + der.encode(der.OCTET_STRING, value))
    return der.encode(der.SEQUENCE, info + der.encode(der.OCTET_STRING, salt) + der.encode_integer(rounds))
