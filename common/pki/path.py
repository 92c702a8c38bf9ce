"""What is wrong with a path, link by link (RFC 5280 6.1, without policies).

Decides each link's problems at a moment. Leaves to `chain` which path is best.
Invariant: times are compared in whole seconds; notAfter itself is still valid (RFC 5280 4.1.2.5).
"""

from collections.abc import Sequence
from enum import StrEnum

from common.pki.certificate import Certificate
from common.pki.constraints import Comparisons, constraints_hold


class Problem(StrEnum):
    """What keeps a link from being good."""

    EXPIRED = "expired"
    NOT_YET_VALID = "not_yet_valid"
    WEAK_SIGNATURE = "weak_signature"
    WEAK_KEY = "weak_key"
    NOT_A_CA = "not_a_ca"
    KEY_USAGE = "key_usage"
    PATH_LENGTH = "path_length"
    NAME_CONSTRAINTS = "name_constraints"
    CRITICAL_EXTENSION = "critical_extension"
    UNDECODABLE = "undecodable"


MIN_RSA_BITS = 2048
"""NIST SP 800-57 part 1: 112 bits of security; browsers refuse less."""

MIN_EC_BITS = 224

_OLD_HASHES = frozenset({"md2", "md4", "md5", "sha1"})


def has_weak_signature(certificate: Certificate) -> bool:
    """Tell a signature by SHA-1 or older; one whose hash is not even known counts as old."""
    return certificate.signature_hash in _OLD_HASHES or "signature_hash" in certificate.undecodable


def has_weak_key(certificate: Certificate) -> bool:
    """Tell a key that is too short, or of a kind that TLS no longer uses."""
    if certificate.key_type == "RSA":
        return certificate.key_bits < MIN_RSA_BITS
    if certificate.key_type.startswith("EC "):
        return certificate.key_bits < MIN_EC_BITS
    return certificate.key_type == "DSA"


def problems_of(
    path: Sequence[Certificate], *, now_s: int, comparisons: Comparisons
) -> tuple[tuple[Problem, ...], ...]:
    """Return each link's problems, leaf first."""
    found = [_own_problems(certificate, now_s) for certificate in path]
    intermediates = 0
    for place, certificate in enumerate(path):
        if place == 0:
            continue
        found[place].extend(_issuer_problems(certificate, intermediates))
        if certificate.subject_id != certificate.issuer_id:
            intermediates += 1
    if len(path) > 1 and not constraints_hold(path, comparisons):
        found[0].append(Problem.NAME_CONSTRAINTS)
    return tuple(tuple(problems) for problems in found)


def _own_problems(certificate: Certificate, now_s: int) -> list[Problem]:
    checks = (
        (Problem.EXPIRED, now_s > certificate.not_after_s),
        (Problem.NOT_YET_VALID, now_s < certificate.not_before_s),
        # nobody checks the signature that a root makes on itself
        (Problem.WEAK_SIGNATURE, not certificate.is_self_signed and has_weak_signature(certificate)),
        (Problem.WEAK_KEY, has_weak_key(certificate)),
        (Problem.CRITICAL_EXTENSION, bool(certificate.unknown_critical)),
        (Problem.UNDECODABLE, bool({"extensions", "public_key", "frame"} & set(certificate.undecodable))),
    )
    return [problem for problem, there in checks if there]


def _issuer_problems(certificate: Certificate, intermediates_below: int) -> list[Problem]:
    limit = certificate.path_length
    checks = (
        (Problem.NOT_A_CA, not certificate.is_ca),
        (Problem.KEY_USAGE, not certificate.may_sign),
        (Problem.PATH_LENGTH, limit is not None and intermediates_below > limit),
    )
    return [problem for problem, there in checks if there]
