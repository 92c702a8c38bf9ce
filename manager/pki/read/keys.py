"""Private keys: reads every common format, and writes one.

Decides which keys are usable here (RSA up to 8192 bits, ECDSA on P-256, P-384 and P-521) and refuses others
by name. A key's cost is read from its ASN.1 before it is spent: 300 bytes can demand minutes of key
derivation. Still run it where it can be killed, since an allowed derivation takes seconds. Invariant: no
repr, message or error of this module shows key material or a passphrase.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)

from common.errors import PkiError, Reason
from common.pki import der
from common.pki.certificate import Certificate
from common.pki.oids import CURVES, algorithm_name
from common.pki.pem import Block, at
from common.pki.public_key import key_kind, spki_id
from manager.pki.read.kdf import check_cost
from manager.pki.read.pbes import is_opened_here, legacy_cipher, unseal, unseal_legacy
from manager.pki.read.schemes import UnknownSchemeError

MAX_RSA_BITS = 8192
"""Larger keys take seconds to load and each handshake tens of milliseconds; no public CA signs them."""

MIN_RSA_BITS = 1024
"""Smaller ones are refused by OpenSSL at its default security level as well; 1024 is reported as weak."""

MAX_SEALED_KEY_BYTES = 5_000
"""An encrypted RSA 8192 key has 4,688 bytes of ciphertext; a longer one is larger than that."""

MAX_EXPONENT_BITS = 64
"""OpenSSL's limit for keys above 3072 bits (OPENSSL_RSA_MAX_PUBEXP_BITS); 65537 has 17."""

_DSA_FIELDS, _RSA_FIELDS = 6, 9
_MULTI_PRIME = 1
"""The version of an RSA key that has more than two primes (RFC 8017 A.1.2)."""

_WRONG = "the passphrase is wrong, or the private key is damaged"

_RSA, _RSA_PSS, _EC = "1.2.840.113549.1.1.1", "1.2.840.113549.1.1.10", "1.2.840.10045.2.1"
_NOT_USABLE = {
    _RSA_PSS: "an RSA-PSS key",
    "1.3.101.112": "an Ed25519 key",
    "1.3.101.113": "an Ed448 key",
    "1.3.101.110": "an X25519 key",
    "1.3.101.111": "an X448 key",
    "1.2.840.10040.4.1": "a DSA key",
    "1.2.840.113549.1.3.1": "a Diffie-Hellman key",
    "1.2.840.10046.2.1": "a Diffie-Hellman key",
}
_USABLE = "use an RSA or ECDSA (P-256, P-384, P-521) key"
_CURVES = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)
_CURVE_IDS = frozenset(("1.2.840.10045.3.1.7", "1.3.132.0.34", "1.3.132.0.35"))
_CONTEXT_0 = 0xA0


@dataclass(frozen=True, slots=True, repr=False, kw_only=True)
class PrivateKey:
    """A usable private key.

    `key_type` and `key_bits` as in Certificate; equal `public_key_id`s pair the two.
    """

    key_type: str
    key_bits: int
    public_key_id: str
    loaded: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey

    def __repr__(self) -> str:
        return "<secret>"


def is_private_key(block: Block) -> bool:
    """Whether a block claims to be a private key of any kind."""
    return block.label.endswith("PRIVATE KEY")


def load_private_key(block: Block, passphrase: str | None = None) -> PrivateKey:
    """Load the key in a block; a passphrase is ignored if the key does not need it.

    Raises PkiError with the block's place: UNSUPPORTED (a kind of key, cipher or curve that is not usable
    here), TOO_BIG (the key or its derivation cost), INVALID (passphrase missing or wrong), PARSE.
    """
    try:
        return _load(block, passphrase)
    except PkiError as error:
        raise at(block, error.message, error.reason) from error


def wrap(key: PrivateKeyTypes) -> PrivateKey:
    """Accept a key that the library has loaded.

    Raises PkiError UNSUPPORTED or TOO_BIG if it is not usable here.
    """
    kind, bits = key_kind(key.public_key())
    match key:
        case rsa.RSAPrivateKey():
            _check_rsa_bits(bits)
            _check_exponent(key.public_key().public_numbers().e)
        case ec.EllipticCurvePrivateKey() if isinstance(key.curve, _CURVES):
            pass
        case ec.EllipticCurvePrivateKey():
            raise PkiError(
                f"the private key is on the curve {key.curve.name}; {_USABLE}", reason=Reason.UNSUPPORTED
            )
        case _:
            raise PkiError(f"the private key is of type {kind}; {_USABLE}", reason=Reason.UNSUPPORTED)
    return PrivateKey(key_type=kind, key_bits=bits, public_key_id=spki_id(key.public_key()), loaded=key)


def private_key_pem(key: PrivateKey) -> str:
    """Return the key as unencrypted PKCS#8 PEM. Secret."""
    return key.loaded.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def pairs(certificate: Certificate, key: PrivateKey) -> bool:
    """Whether the key belongs to the certificate."""
    return certificate.public_key_id == key.public_key_id


def open_plain_key(data: bytes) -> PrivateKey:
    """Check and load PKCS#8, PKCS#1 or SEC1 in DER. Raises PkiError UNSUPPORTED, TOO_BIG, PARSE."""
    try:
        _check_kind(data)
        return wrap(load_der_private_key(data, None))
    except der.DerError as error:
        raise PkiError("the private key is damaged: it is not DER") from error
    except UnsupportedAlgorithm as error:
        raise PkiError(
            f"the private key is of a kind that is not supported; {_USABLE}", reason=Reason.UNSUPPORTED
        ) from error
    except (ValueError, TypeError) as error:
        # the library checks that primes and modulus, exponents, and a curve's point belong together
        raise PkiError("the private key is damaged: its parts do not belong together") from error


def open_sealed_key(data: bytes, passphrase: str | None) -> PrivateKey:
    """Decrypt an EncryptedPrivateKeyInfo (RFC 5958 3) in DER and check its key like an unencrypted one.

    Raises PkiError INVALID (passphrase missing or wrong) and what `open_plain_key` raises.
    """
    try:
        algorithm, sealed = der.sequence(data, 2)[:2]
        check_sealed_size(sealed.content)
        check_cost(algorithm.raw)
        # without asking for a passphrase, if none could help
        is_ours = is_opened_here(algorithm.raw)
        word = _given(passphrase)
        if not is_ours:
            return _open_by_library(data, word)
        plain = unseal(algorithm.raw, sealed.content, word)
    except UnknownSchemeError as error:
        raise error.of_key() from error
    except der.DerError as error:
        raise PkiError("the private key is damaged: it is not DER") from error
    except PkiError as error:
        if error.reason is Reason.INVALID and passphrase is not None:
            raise PkiError(_WRONG, reason=Reason.INVALID) from error
        raise
    return _opened(plain)


def check_sealed_size(sealed: bytes) -> None:
    """Refuse an encrypted key that is too large, judging by its length. Raises PkiError TOO_BIG."""
    if len(sealed) > MAX_SEALED_KEY_BYTES:
        raise PkiError(
            f"the private key is larger than RSA {MAX_RSA_BITS}; {_USABLE} of at most {MAX_RSA_BITS} bits",
            reason=Reason.TOO_BIG,
        )


def _load(block: Block, passphrase: str | None) -> PrivateKey:
    if block.label == "OPENSSH PRIVATE KEY":
        raise PkiError(
            "this is an OpenSSH private key; convert it with 'ssh-keygen -p -m PKCS8'",
            reason=Reason.UNSUPPORTED,
        )
    dek = next((value for name, value in block.headers if name == "DEK-Info"), None)
    if dek is not None:
        return _load_legacy(block, dek, passphrase)
    if block.label == "ENCRYPTED PRIVATE KEY":
        return open_sealed_key(block.der, passphrase or None)
    return open_plain_key(block.der)


def _load_legacy(block: Block, dek: str, passphrase: str | None) -> PrivateKey:
    """Decrypt a key with RFC 1421's encryption, which only the formats PKCS#1, SEC1 and DSA's own have."""
    check_sealed_size(block.der)
    try:
        legacy_cipher(dek)
        plain = unseal_legacy(dek, block.der, _given(passphrase or None))
    except UnknownSchemeError as error:
        raise error.of_key() from error
    except PkiError as error:
        if error.reason is Reason.INVALID and passphrase:
            raise PkiError(_WRONG, reason=Reason.INVALID) from error
        raise
    return _opened(plain)


def _given(passphrase: str | None) -> str:
    if passphrase is None:
        raise PkiError("the private key is encrypted; supply its passphrase", reason=Reason.INVALID)
    return passphrase


def _opened(plain: bytes) -> PrivateKey:
    """Check a decrypted key; if it is not a SEQUENCE, the passphrase was wrong. Raises PkiError."""
    if not _is_framed(plain):
        raise PkiError(_WRONG, reason=Reason.INVALID)
    return open_plain_key(plain)


def _open_by_library(data: bytes, passphrase: str) -> PrivateKey:
    try:
        return wrap(load_der_private_key(data, passphrase.encode()))
    except UnsupportedAlgorithm as error:
        raise PkiError(
            "the private key, or the cipher that encrypts it, is of a kind that is not supported",
            reason=Reason.UNSUPPORTED,
        ) from error
    except (ValueError, TypeError) as error:
        raise PkiError(_WRONG, reason=Reason.INVALID) from error


def _is_framed(data: bytes) -> bool:
    try:
        return bool(der.sequence(data))
    except der.DerError:
        return False


def _check_kind(data: bytes) -> None:
    """Refuse kinds that are not usable, by name, and RSA keys that take seconds to load, before loading.

    `data` is PKCS#8, PKCS#1 or SEC1 in DER. Raises PkiError UNSUPPORTED or TOO_BIG, DerError.
    """
    fields = der.sequence(data)
    # PKCS#8 is version, algorithm, key; PKCS#1 and SEC1 have no SEQUENCE in second place
    if len(fields) > 2 and fields[1].tag == der.SEQUENCE:
        algorithm = der.members(fields[1], der.SEQUENCE, 1)
        kind = der.object_id(algorithm[0])
        if kind == _RSA:
            fields = der.sequence(fields[2].content)
        elif kind == _EC:
            _check_curve(algorithm[1:])
        else:
            name = _NOT_USABLE.get(kind) or f"of the kind {algorithm_name(kind)}"
            raise PkiError(f"the private key is {name}; {_USABLE}", reason=Reason.UNSUPPORTED)
    elif len(fields) > 1 and fields[1].tag == der.OCTET_STRING:
        # what SEC1 has beside the key is tagged: [0] its curve (RFC 5915 3)
        _check_curve([der.first(one.content) for one in fields[2:] if one.tag == _CONTEXT_0])
    if len(fields) == _DSA_FIELDS and all(field.tag == der.INTEGER for field in fields):
        raise PkiError(f"the private key is a DSA key; {_USABLE}", reason=Reason.UNSUPPORTED)
    if len(fields) > 2 and fields[1].tag == der.INTEGER:
        _check_rsa_bits(der.integer(fields[1]).bit_length())
        _check_primes(fields)


def _check_curve(parameters: Sequence[der.Element]) -> None:
    """Refuse a named curve that is not usable; explicit curve parameters are found when the key is loaded."""
    curve = der.object_id(parameters[0]) if parameters and parameters[0].tag == der.OBJECT_ID else None
    if curve is not None and curve not in _CURVE_IDS:
        name, _ = CURVES.get(curve, (curve, 0))
        raise PkiError(f"the private key is on the curve {name}; {_USABLE}", reason=Reason.UNSUPPORTED)


def _check_rsa_bits(bits: int) -> None:
    if bits > MAX_RSA_BITS:
        raise PkiError(
            f"the private key is RSA {bits}; at most {MAX_RSA_BITS} bits are usable", reason=Reason.TOO_BIG
        )
    if bits < MIN_RSA_BITS:
        raise PkiError(
            f"the private key is RSA {bits}; at least {MIN_RSA_BITS} bits are needed",
            reason=Reason.UNSUPPORTED,
        )


def _check_primes(fields: Sequence[der.Element]) -> None:
    """Refuse an RSA key of more than two primes (RFC 8017 A.1.2), which hardly any program supports."""
    if len(fields) > _RSA_FIELDS and der.integer(fields[0]) == _MULTI_PRIME:
        primes = 2 + len(der.members(fields[_RSA_FIELDS], der.SEQUENCE))
        raise PkiError(
            f"the private key is multi-prime RSA ({primes} primes), which is not usable here and cannot be converted; make a new key "
            "with two primes, as is usual, and have the certificate issued for that",
            reason=Reason.UNSUPPORTED,
        )


def _check_exponent(exponent: int) -> None:
    if exponent.bit_length() > MAX_EXPONENT_BITS:
        raise PkiError(
            f"the private key's public exponent has {exponent.bit_length()} bits; at most {MAX_EXPONENT_BITS} are usable",
            reason=Reason.UNSUPPORTED,
        )
