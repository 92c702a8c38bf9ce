"""Cost of deriving a key from a passphrase, read from the parameters before any of it is spent.

Decides whether an encrypted key or PKCS#12 file may be opened at all.
Invariant: an accepted algorithm costs seconds at most; unknown ones are refused.
"""

from common.errors import PkiError, Reason
from common.pki import der
from manager.pki.read.schemes import UnknownSchemeError, scheme_name

MAX_ITERATIONS = 10_000_000
"""About five seconds of PBKDF2-SHA-256 on one core. OpenSSL writes 2,048; current advice is 600,000."""

MAX_SCRYPT_BYTES = 128 * 1024 * 1024
"""128 * N * r, scrypt's memory (RFC 7914 2). OpenSSL writes N=16384, r=8: 16 MiB."""

MAX_SCRYPT_PARALLEL = 16
"""scrypt's p multiplies the time, not the memory."""

_SMALL_OCTETS = 8
_PBES2, _PBKDF2, _SCRYPT = "1.2.840.113549.1.5.13", "1.2.840.113549.1.5.12", "1.3.6.1.4.1.11591.4.11"
_PBES1_PREFIXES = ("1.2.840.113549.1.5.", "1.2.840.113549.1.12.1.")


def check_cost(algorithm: bytes) -> int:
    """Check the AlgorithmIdentifier of an encryption (RFC 8018 A.3 and A.4, RFC 7292 C).

    Returns its iterations, 0 for scrypt. Raises PkiError TOO_BIG (cost), UnknownSchemeError, DerError
    (malformed).
    """
    scheme, parameters = _pair(algorithm)
    if scheme == _PBES2:
        return check_derivation(der.members(parameters, der.SEQUENCE, 1)[0].raw)
    if scheme.startswith(_PBES1_PREFIXES):
        return _check_iterations(_member(parameters, 1))
    raise UnknownSchemeError(scheme_name(scheme))


def check_iterations(count: int) -> None:
    """Check an iteration count. Raises PkiError TOO_BIG if it is above the limit or not a count."""
    if not 0 < count <= MAX_ITERATIONS:
        raise PkiError(
            f"opening it would take {count} iterations; at most {MAX_ITERATIONS} are allowed",
            reason=Reason.TOO_BIG,
        )


def check_derivation(algorithm: bytes) -> int:
    """Check a key derivation's AlgorithmIdentifier as `check_cost` does."""
    scheme, parameters = _pair(algorithm)
    if scheme == _PBKDF2:
        return _check_iterations(_member(parameters, 1))
    if scheme == _SCRYPT:
        cost, block, parallel = (small_integer(_member(parameters, place)) for place in (1, 2, 3))
        memory = 128 * cost * block
        if not 0 < memory <= MAX_SCRYPT_BYTES or not 0 < parallel <= MAX_SCRYPT_PARALLEL:
            raise PkiError(
                f"opening it would take scrypt with N={cost}, r={block}, p={parallel}; "
                f"at most {MAX_SCRYPT_BYTES // 1024 // 1024} MiB and p={MAX_SCRYPT_PARALLEL} are allowed",
                reason=Reason.TOO_BIG,
            )
        return 0
    raise UnknownSchemeError(scheme_name(scheme))


def _check_iterations(element: der.Element) -> int:
    count = small_integer(element)
    check_iterations(count)
    return count


def small_integer(element: der.Element) -> int:
    """Return an INTEGER of at most 64 bits; raises PkiError TOO_BIG for a larger one."""
    if len(element.content) > _SMALL_OCTETS:
        raise PkiError("opening it would take more work than is allowed", reason=Reason.TOO_BIG)
    return der.integer(element)


def _pair(algorithm: bytes) -> tuple[str, der.Element]:
    fields = der.sequence(algorithm)
    if len(fields) != 2:
        raise der.DerError("an algorithm with parameters was expected")
    return der.object_id(fields[0]), fields[1]


def _member(element: der.Element, place: int) -> der.Element:
    return der.members(element, der.SEQUENCE, place + 1)[place]
