"""Write certificates, chains and keys in the forms that other products open.

Decides file names and formats (the specification's "Downloading an existing TLS certificate"). Leaves authorisation and audit to the
manager. Invariants: a key never leaves unencrypted; a temporary certificate never leaves at all.
Encrypting keys takes a second: run it off the loop.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
    pkcs12,
)

from common.errors import InvalidInputError, PkiError, Reason
from common.pki import der
from common.pki.certificate import Certificate, load
from common.pki.keys import PrivateKey, wrap
from common.pki.pfx import safe_contents
from common.pki.status import is_temporary

CA_FILE_NAME = "ca-certificates.pem"
"""The specification's "Download all certificates"."""

MIN_PASSPHRASE_CHARS = 8
MAX_FILE_STEM_CHARS = 120

_ROUNDS = 100_000
_LEGACY_ROUNDS = 2048
_SALT_BYTES = 16
_MAC_ID = 3
_SAFE_CHARS = re.compile(r"[^A-Za-z0-9._-]+")
_DATA_OID = bytes.fromhex("06092a864886f70d010701")
_DIGEST_OIDS = {"sha256": bytes.fromhex("0609608648016503040201"), "sha1": bytes.fromhex("06052b0e03021a")}


class Format(StrEnum):
    """How to write. PFX_LEGACY is for appliances that refuse AES-256 (3DES and SHA-1, as OpenSSL 1.x wrote)."""

    PEM = "pem"
    PFX = "pfx"
    PFX_LEGACY = "pfx_legacy"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportItem:
    """One certificate to write, with what is to go along: its intermediates, its key (PKCS#8 PEM, secret)."""

    leaf: Certificate
    chain: tuple[Certificate, ...] = ()
    private_key_pem: str | None = field(default=None, repr=False)
    include_leaf: bool = True


@dataclass(frozen=True, slots=True)
class Download:
    """A file to hand out."""

    name: str
    content: bytes = field(repr=False)


def export(items: Sequence[ExportItem], form: Format, *, passphrase: str | None = None) -> Download:
    """Write one or several certificates into one file.

    Raises PkiError UNSUPPORTED for a temporary certificate, and InvalidInputError: `passphrase` where a key is included and it is
    missing or shorter than 8 characters, `items` where there is nothing to write.
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
    if with_key and len(passphrase or "") < MIN_PASSPHRASE_CHARS:
        raise InvalidInputError(
            "passphrase",
            f"a private key is only downloaded encrypted: give a passphrase of at least {MIN_PASSPHRASE_CHARS} characters",
        )
    name = file_name([item.leaf for item in items], with_key=with_key, form=form)
    if form is Format.PEM:
        return Download(name, _pem(items, passphrase))
    return Download(name, _pfx(items, passphrase, legacy=form is Format.PFX_LEGACY))


def file_name(leaves: Sequence[Certificate], *, with_key: bool, form: Format) -> str:
    """Return the specification's name: `<subject>_certificate.pem`, `all_keycerts.pfx` and so on."""
    suffix = "pem" if form is Format.PEM else "pfx"
    if len(leaves) > 1:
        return f"all_{'keycerts' if with_key else 'certificates'}.{suffix}"
    label = leaves[0].subject_name or leaves[0].label
    # what is left cannot climb directories, hide, or break a header
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
    for item in items:
        parts.extend(certificate.pem.encode() for certificate in _certificates(item))
        key = _key(item)
        if key is not None and passphrase:
            cipher = BestAvailableEncryption(passphrase.encode())
            parts.append(key.loaded.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, cipher))
    return b"".join(parts)


def _pfx(items: Sequence[ExportItem], passphrase: str | None, *, legacy: bool) -> bytes:
    encryption = _encryption(passphrase, legacy=legacy)
    if len(items) == 1:
        return _one_pfx(items[0], encryption, frozenset())
    written: set[Certificate] = set()
    contents: list[bytes] = []
    for item in items:
        single = _one_pfx(item, encryption, frozenset(written))
        written.update(item.chain)
        contents.extend(part.raw for part in safe_contents(single))
    return _join(contents, passphrase, legacy=legacy)


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


def _encryption(passphrase: str | None, *, legacy: bool) -> KeySerializationEncryption:
    if not passphrase:
        return NoEncryption()
    builder = PrivateFormat.PKCS12.encryption_builder()
    if legacy:
        return (
            builder.kdf_rounds(_LEGACY_ROUNDS)
            .key_cert_algorithm(pkcs12.PBES.PBESv1SHA1And3KeyTripleDESCBC)
            .hmac_hash(hashes.SHA1())  # noqa: S303 - the old appliances this is for know nothing newer
            .build(passphrase.encode())
        )
    return (
        builder.kdf_rounds(_ROUNDS)
        .key_cert_algorithm(pkcs12.PBES.PBESv2SHA256AndAES256CBC)
        .hmac_hash(hashes.SHA256())
        .build(passphrase.encode())
    )


def _join(contents: Iterable[bytes], passphrase: str | None, *, legacy: bool) -> bytes:
    """Put the contents of several files into one, with a new MAC: the library writes one key a file (RFC 7292 4)."""
    safe = der.encode(der.SEQUENCE, b"".join(contents))
    explicit = der.encode(0xA0, der.encode(der.OCTET_STRING, safe))
    info = der.encode(der.SEQUENCE, _DATA_OID + explicit)
    parts = [der.encode_integer(3), info]
    if passphrase:
        parts.append(_mac(safe, passphrase, "sha1" if legacy else "sha256"))
    return der.encode(der.SEQUENCE, b"".join(parts))


def _mac(safe: bytes, passphrase: str, digest: str) -> bytes:
    salt = secrets.token_bytes(_SALT_BYTES)
    key = mac_key(passphrase, salt, rounds=_LEGACY_ROUNDS, digest=digest)
    value = hmac.digest(key, safe, digest)
    algorithm = der.encode(der.SEQUENCE, _DIGEST_OIDS[digest] + b"\x05\x00")
    info = der.encode(der.SEQUENCE, algorithm + der.encode(der.OCTET_STRING, value))
    return der.encode(
        der.SEQUENCE, info + der.encode(der.OCTET_STRING, salt) + der.encode_integer(_LEGACY_ROUNDS)
    )


def mac_key(passphrase: str, salt: bytes, *, rounds: int, digest: str) -> bytes:
    """Derive a PKCS#12 MAC key (RFC 7292 B.2, with ID 3). One block is enough: the key is as long as the digest."""
    block = hashlib.new(digest).block_size
    password = passphrase.encode("utf-16-be") + b"\x00\x00"
    data = bytes([_MAC_ID]) * block + _filled(salt, block) + _filled(password, block)
    for _ in range(rounds):
        data = hashlib.new(digest, data).digest()
    return data


def _filled(data: bytes, block: int) -> bytes:
    """Repeat to a multiple of the block size."""
    size = block * ((len(data) + block - 1) // block)
    return (data * (size // len(data) + 1))[:size]
