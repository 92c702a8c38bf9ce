"""TLS parameters: Diffie-Hellman groups and the name of an elliptic curve for ephemeral keys.

Decides which are usable. Leaves their use to TLS servers. Invariant: accepted parameters have the form that
`openssl dhparam` and `openssl ecparam` write, canonical PEM.
"""

from collections.abc import Iterable
from functools import lru_cache

from common.errors import PkiError, Reason
from common.pki import der
from common.pki.pem import Block, at, pem_of

DH_LABEL, EC_LABEL, X942_LABEL = "DH PARAMETERS", "EC PARAMETERS", "X9.42 DH PARAMETERS"

MIN_DH_BITS = 2048
"""OpenSSL's security level 2, Debian's default, refuses smaller groups, and a server then fails to reload."""

MAX_PARAMETERS = 100
"""Blocks in one input; each costs milliseconds, but a well-known group, as most are, only once."""

MAX_DH_BITS = 8192
"""RFC 7919's largest group; a handshake with more takes a second."""

_FFDHE2048 = int(
    "FFFFFFFFFFFFFFFFADF85458A2BB4A9AAFDC5620273D3CF1D8B9C583CE2D3695A9E13641146433FBCC939DCE249B3EF9"
    "7D2FE363630C75D8F681B202AEC4617AD3DF1ED5D5FD65612433F51F5F066ED0856365553DED1AF3B557135E7F57C935"
    "984F0C70E0E68B77E2A689DAF3EFE8721DF158A136ADE73530ACCA4F483A797ABC0AB182B324FB61D108A94BB2C8E3FB"
    "B96ADAB760D7F4681D4F42A3DE394DF4AE56EDE76372BB190B07A7C8EE0A6D709E02FCE1CDF7E2ECC03404CD28342F61"
    "9172FE9CE98583FF8E4F1232EEF28183C3FE3B1B4C6FAD733BB5FCBC2EC22005C58EF1837D1683B2C6F34A26C1B2EFFA"
    "886B423861285C97FFFFFFFFFFFFFFFF",
    16,
)
FFDHE2048_PEM = pem_of(
    der.encode(der.SEQUENCE, der.encode_integer(_FFDHE2048) + der.encode_integer(2)), label=DH_LABEL
)
"""RFC 7919 A.1: a well-known safe prime, so that nothing needs to be generated at deployment."""

_CURVES = {
    "1.2.840.10045.3.1.7": "prime256v1",
    "1.3.132.0.34": "secp384r1",
    "1.3.132.0.35": "secp521r1",
}


@lru_cache(maxsize=MAX_PARAMETERS)
def is_probably_prime(number: int) -> bool:
    """Whether a number of at most 8192 bits may be a prime, by one round (Miller-Rabin, base 2).

    Larger ones are not tried.
    """
    if number < 3 or number % 2 == 0 or number.bit_length() > MAX_DH_BITS:
        return False
    odd, twos = number - 1, 0
    while odd % 2 == 0:
        odd, twos = odd // 2, twos + 1
    power = pow(2, odd, number)
    if power in {1, number - 1}:
        return True
    for _ in range(twos - 1):
        power = power * power % number
        if power == number - 1:
            return True
    return False


def is_parameters(block: Block) -> bool:
    """Whether a block claims to be TLS parameters."""
    return block.label in {DH_LABEL, EC_LABEL, X942_LABEL}


def parameters_pem(block: Block) -> str:
    """Check a block of parameters and return it as canonical PEM, in the form that TLS servers read.

    Raises PkiError with the block's place: PARSE, UNSUPPORTED (size, generator or curve not usable here).
    """
    try:
        data, label = _checked(block)
    except der.DerError as error:
        raise at(block, f"the {block.label} are damaged") from error
    except PkiError as error:
        raise at(block, error.message, error.reason) from error
    return pem_of(data, label=label)


def combine(given: Iterable[tuple[str, Block]]) -> tuple[str, tuple[PkiError, ...]]:
    """Join checked parameters: DH, then EC, each once; two different ones are a finding (CONFLICT)."""
    kept: dict[str, str] = {}
    findings = []
    for pem, block in given:
        label = DH_LABEL if block.label == X942_LABEL else block.label
        if kept.setdefault(label, pem) != pem:
            findings.append(at(block, f"there are different {label}; give one", Reason.CONFLICT))
    return "".join(kept[label] for label in (DH_LABEL, EC_LABEL) if label in kept), tuple(findings)


def _checked(block: Block) -> tuple[bytes, str]:
    """Return the parameters as they are served, and their label."""
    if der.first(block.der).raw != block.der:
        raise PkiError(f"something follows the {block.label} in their block")
    data = block.der
    if block.label == EC_LABEL:
        _check_curve(data)
        return data, EC_LABEL
    if block.label == X942_LABEL:
        data = _without_subgroup(data)
    _check_dh(data)
    return data, DH_LABEL


def _without_subgroup(data: bytes) -> bytes:
    """Write X9.42 parameters (RFC 3279 2.3.3: p, g, q) as PKCS#3's (p, g, length).

    `openssl dhparam -dsaparam` 1.1 did the same.
    """
    prime, generator, order = (der.integer(one) for one in der.sequence(data, 3)[:3])
    if prime <= 0 or generator <= 0 or order <= 0:
        raise PkiError("the X9.42 DH parameters are not a group")
    fields = (prime, generator, order.bit_length())
    return der.encode(der.SEQUENCE, b"".join(der.encode_integer(one) for one in fields))


def _check_dh(data: bytes) -> None:
    fields = der.sequence(data, 2)
    prime, generator = der.integer(fields[0]), der.integer(fields[1])
    bits = prime.bit_length()
    if prime < 0 or not MIN_DH_BITS <= bits <= MAX_DH_BITS:
        raise PkiError(
            f"the DH parameters have {bits} bits; use {MIN_DH_BITS} to {MAX_DH_BITS}",
            reason=Reason.UNSUPPORTED,
        )
    # proving that p is a safe prime takes seconds; only cheap checks are done
    if not is_probably_prime(prime) and generator > 2:
        raise PkiError("this is a public key, not DH parameters", reason=Reason.UNSUPPORTED)
    if not is_probably_prime(prime) or not 1 < generator < prime - 1:
        raise PkiError("the DH parameters are not a group (no prime, or a useless generator)")


def _check_curve(data: bytes) -> None:
    element = der.first(data)
    if element.tag != der.OBJECT_ID:
        raise PkiError(
            "the EC parameters spell out a curve; name one of P-256, P-384, P-521 instead",
            reason=Reason.UNSUPPORTED,
        )
    curve = der.object_id(element)
    if curve not in _CURVES:
        raise PkiError(
            f"the EC parameters name the curve {curve}; use P-256, P-384 or P-521", reason=Reason.UNSUPPORTED
        )
