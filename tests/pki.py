"""Certificates and keys for tests, made by code. Keys are EC P-256 by default, which takes microseconds."""

import datetime as dt
import ipaddress
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from common.pki import der

NOW_S = 1_800_000_000
"""The present moment in tests: 2027-01-15 08:00:00 UTC."""

DAY_S = 86_400

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

MADE_KEYS: list[Key] = []
"""Every certificate key made here, for checks that none leaks."""


@dataclass(frozen=True, slots=True)
class Made:
    """A certificate with its key."""

    certificate: x509.Certificate
    key: Key

    @property
    def certificate_pem(self) -> str:
        return self.certificate.public_bytes(Encoding.PEM).decode()

    @property
    def certificate_der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def key_pem(self) -> str:
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()

    def encrypted_key_pem(self, passphrase: str) -> str:
        cipher = BestAvailableEncryption(passphrase.encode())
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, cipher).decode()


def make_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def make_rsa_key(bits: int = 2048) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


def make_root(
    name: str = "Test Root",
    *,
    not_before_s: int = NOW_S - 1000 * DAY_S,
    not_after_s: int = NOW_S + 3650 * DAY_S,
    key: Key | None = None,
    path_length: int | None = None,
    hash_: hashes.HashAlgorithm | None = None,
) -> Made:
    return _make(
        issuer=None,
        subject=_name(name),
        key=key,
        not_before_s=not_before_s,
        not_after_s=not_after_s,
        extensions=_ca_extensions(path_length),
        hash_=hash_,
    )


def make_intermediate(
    issuer: Made,
    name: str = "Test Intermediate",
    *,
    not_before_s: int = NOW_S - 500 * DAY_S,
    not_after_s: int = NOW_S + 1825 * DAY_S,
    key: Key | None = None,
    path_length: int | None = None,
    extensions: Iterable[tuple[x509.ExtensionType, bool]] = (),
    hash_: hashes.HashAlgorithm | None = None,
) -> Made:
    return _make(
        issuer=issuer,
        subject=_name(name),
        key=key,
        not_before_s=not_before_s,
        not_after_s=not_after_s,
        extensions=[*_ca_extensions(path_length), *extensions],
        hash_=hash_,
    )


def make_leaf(
    issuer: Made | None,
    names: Sequence[str] = ("node.example.com",),
    *,
    addresses: Sequence[str] = (),
    common_name: str | None = None,
    subject: x509.Name | None = None,
    not_before_s: int = NOW_S - 10 * DAY_S,
    not_after_s: int = NOW_S + 365 * DAY_S,
    key: Key | None = None,
    serial: int | None = None,
    usages: Sequence[x509.ObjectIdentifier] | None = (
        ExtendedKeyUsageOID.SERVER_AUTH,
        ExtendedKeyUsageOID.CLIENT_AUTH,
    ),
    alternatives: bool = True,
    extensions: Iterable[tuple[x509.ExtensionType, bool]] = (),
    hash_: hashes.HashAlgorithm | None = None,
) -> Made:
    """Make a leaf; `issuer` None makes it self-signed. The Common Name is the first name unless it or `subject` is given."""
    parts: list[tuple[x509.ExtensionType, bool]] = [(x509.BasicConstraints(ca=False, path_length=None), True)]
    if alternatives:
        general: list[x509.GeneralName] = [x509.DNSName(name) for name in names]
        general += [x509.IPAddress(ipaddress.ip_address(text)) for text in addresses]
        parts.append((x509.SubjectAlternativeName(general), False))
    if usages is not None:
        parts.append((x509.ExtendedKeyUsage(usages), False))
    return _make(
        issuer=issuer,
        subject=subject if subject is not None else _name(common_name or names[0]),
        key=key,
        not_before_s=not_before_s,
        not_after_s=not_after_s,
        extensions=[*parts, *extensions],
        serial=serial,
        hash_=hash_,
    )


def current_ca(name: str) -> tuple[Made, Made]:
    """Return a root and an intermediate that the real clock calls valid, for tests and demos with real daemons."""
    now_s = int(time.time())
    life = {"not_before_s": now_s - 30 * DAY_S, "not_after_s": now_s + 1000 * DAY_S}
    root = make_root(f"{name} Root", **life)
    return root, make_intermediate(root, f"{name} Issuing", **life)


def current_leaf(issuer: Made | None, names: Sequence[str], *, days: int = 90) -> Made:
    """Return a leaf that the real clock calls valid for `days` more."""
    now_s = int(time.time())
    # a lifetime of at least 90 days, so that only the remaining days decide whether it is expiring
    return make_leaf(issuer, names, not_before_s=now_s - 90 * DAY_S, not_after_s=now_s + days * DAY_S)


def cross_sign(
    signer: Made,
    subject: Made,
    *,
    not_before_s: int = NOW_S - 500 * DAY_S,
    not_after_s: int = NOW_S + 1825 * DAY_S,
) -> Made:
    """Sign an existing CA's name and key with another CA."""
    return _make(
        issuer=signer,
        subject=subject.certificate.subject,
        key=subject.key,
        not_before_s=not_before_s,
        not_after_s=not_after_s,
        extensions=_ca_extensions(None),
    )


def sign_request(issuer: Made, pem: str) -> str:
    """Answer a request as a CA does: with a certificate as long as its own, for the requested names."""
    request = x509.load_pem_x509_csr(pem.encode())
    own = x509.load_der_x509_certificate(issuer.certificate_der)
    names = request.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    made = (
        x509.CertificateBuilder()
        .subject_name(request.subject)
        .issuer_name(own.subject)
        .public_key(request.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(own.not_valid_before_utc)
        .not_valid_after(own.not_valid_after_utc)
        .add_extension(names.value, critical=names.critical)
        .sign(load_pem_private_key(issuer.key_pem.encode(), None), hashes.SHA256())
    )
    return made.public_bytes(Encoding.PEM).decode()


def chain_pem(*made: Made) -> str:
    return "".join(one.certificate_pem for one in made)


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _ca_extensions(path_length: int | None) -> list[tuple[x509.ExtensionType, bool]]:
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    return [(x509.BasicConstraints(ca=True, path_length=path_length), True), (usage, True)]


def _make(
    *,
    issuer: Made | None,
    subject: x509.Name,
    key: Key | None,
    not_before_s: int,
    not_after_s: int,
    extensions: Iterable[tuple[x509.ExtensionType, bool]],
    serial: int | None = None,
    hash_: hashes.HashAlgorithm | None = None,
) -> Made:
    key = key if key is not None else make_key()
    MADE_KEYS.append(key)
    signing_key = issuer.key if issuer is not None else key
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer is not None else subject)
        .public_key(key.public_key())
        .serial_number(serial if serial is not None else x509.random_serial_number())
        .not_valid_before(dt.datetime.fromtimestamp(not_before_s, tz=dt.UTC))
        .not_valid_after(dt.datetime.fromtimestamp(not_after_s, tz=dt.UTC))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signing_key.public_key()), critical=False
        )
    )
    for value, critical in extensions:
        builder = builder.add_extension(value, critical=critical)
    return Made(builder.sign(signing_key, hash_ if hash_ is not None else hashes.SHA256()), key)


def spoiled(made: Made, old: bytes, new: bytes, *, signer: Made | None = None) -> bytes:
    """Return a certificate's DER with bytes replaced by others of the same length, and signed again.

    The issuer's key is an EC key; None for a self-signed certificate.
    """
    body, algorithm, _ = der.sequence(made.certificate_der)
    if len(old) != len(new) or old not in body.raw:
        raise ValueError("the bytes must be there, and keep their length")
    changed = body.raw.replace(old, new)
    key = (signer or made).key
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError("only EC keys sign here")
    signature = der.encode(der.BIT_STRING, b"\0" + key.sign(changed, ec.ECDSA(hashes.SHA256())))
    return der.encode(der.SEQUENCE, changed + algorithm.raw + signature)
