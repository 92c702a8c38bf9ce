"""Path validation: what is wrong with a path, link by link (RFC 5280 6.1; of policies only whether one is demanded and missing).

Decides each link's problems at a moment. Leaves to `manager.pki.chain` which path is best.
Invariant: times are compared in whole seconds; notAfter itself is still valid (RFC 5280 4.1.2.5).
"""

from collections.abc import Sequence
from enum import StrEnum

from cryptography.x509.oid import ExtendedKeyUsageOID

from common.pki.anatomy import CRL_POINTS, NETSCAPE_TYPE, anatomy
from common.pki.certificate import Certificate
from common.pki.constraints import Comparisons, constraints_hold
from common.pki.name import canonical_name


class LinkProblem(StrEnum):
    """A problem of a link in a chain."""

    EXPIRED = "expired"
    NOT_YET_VALID = "not_yet_valid"
    WEAK_SIGNATURE = "weak_signature"
    WEAK_KEY = "weak_key"
    NOT_A_CA = "not_a_ca"
    KEY_USAGE = "key_usage"
    PURPOSE = "purpose"
    EXPLICIT_CURVE = "explicit_curve"
    PATH_LENGTH = "path_length"
    NAME_CONSTRAINTS = "name_constraints"
    POLICY = "policy"
    CRITICAL_EXTENSION = "critical_extension"
    UNDECODABLE = "undecodable"
    OTHER_ISSUER = "other_issuer"


class Purpose(StrEnum):
    """What a TLS certificate is presented for."""

    SERVER = "server"
    CLIENT = "client"


_USAGES = {Purpose.SERVER: ExtendedKeyUsageOID.SERVER_AUTH, Purpose.CLIENT: ExtendedKeyUsageOID.CLIENT_AUTH}
_NETSCAPE = {Purpose.SERVER: "sslServer", Purpose.CLIENT: "sslClient"}
_ANY_POLICY = "2.5.29.32.0"

MIN_RSA_BITS = 2048
"""NIST SP 800-57 part 1: 112 bits of security; browsers refuse less."""

MIN_EC_BITS = 224

_NEEDED = frozenset({"extensions", "public_key", "frame", "not_before", "not_after"})
"""No client accepts a certificate in which one of these cannot be read."""

_READ_ONCE = frozenset(f"2.5.29.{arc}" for arc in (14, 15, 17, 19, 30, 35, 37))
"""Subject key identifier, key usage, alternative names, basic constraints, name constraints, authority key identifier, extended key usage."""

_OLD_HASHES = frozenset({"md2", "md4", "md5", "sha1"})


_READ_AT_ONCE = frozenset({CRL_POINTS, NETSCAPE_TYPE})
"""Those that OpenSSL reads of every certificate, beside what the decoded fields tell (`x509v3_cache_extensions`)."""


def has_invalid_extension(certificate: Certificate) -> bool:
    """Whether an extension that OpenSSL reads occurs twice, be both the same or not, or cannot be read: it refuses either."""
    parts = anatomy(certificate)
    return bool(parts.repeated & _READ_ONCE or parts.unreadable & _READ_AT_ONCE)


def names_other_issuer(certificate: Certificate, issuer: Certificate) -> bool:
    """Whether an authority key identifier means another certificate than this one, though its key made the signature.

    OpenSSL takes such a one for no issuer (`X509_check_akid`): another key identifier, or another certificate's number or issuer.
    """
    meant, there = anatomy(certificate).authority_key, anatomy(issuer)
    if meant.key is not None and there.subject_key is not None and meant.key != there.subject_key:
        return True
    if meant.serial is not None and meant.serial != there.serial:
        return True
    return meant.issuer_der is not None and canonical_name(meant.issuer_der) != issuer.issuer_id


def is_damaged_root(certificate: Certificate) -> bool:
    """Whether it is a CA that names itself as its issuer by name and key identifier (or names no key), and whose signature is not by its own key.

    It stands for itself to OpenSSL (`EXFLAG_SS`), which checks that signature with -check_ss_sig only.
    """
    is_own = certificate.subject_id == certificate.issuer_id and certificate.issuer_key_id in {
        None,
        certificate.key_id,
    }
    return is_own and certificate.is_ca and not certificate.is_self_signed


def has_ended(certificate: Certificate, *, now_s: float) -> bool:
    """Whether notAfter has passed; the second it names is still valid (RFC 5280 4.1.2.5). One that cannot be read has not."""
    return certificate.not_after_s is not None and now_s > certificate.not_after_s


def begins_later(certificate: Certificate, *, now_s: float) -> bool:
    """Whether notBefore is in the future; false if it cannot be read."""
    return certificate.not_before_s is not None and now_s < certificate.not_before_s


def is_within_validity(certificate: Certificate, *, now_s: float) -> bool:
    """Whether a certificate is valid by time; false if its dates cannot be read."""
    begins_s, ends_s = certificate.not_before_s, certificate.not_after_s
    return begins_s is not None and ends_s is not None and begins_s <= now_s <= ends_s


def has_weak_signature(certificate: Certificate) -> bool:
    """Whether the signature uses SHA-1 or an older hash. An unknown hash counts as old."""
    return certificate.signature_hash in _OLD_HASHES or "signature_hash" in certificate.undecodable


def has_weak_key(certificate: Certificate) -> bool:
    """Whether the key is too short, or of a kind that TLS no longer uses."""
    if certificate.key_type == "RSA":
        return certificate.key_bits < MIN_RSA_BITS
    if certificate.key_type.startswith("EC "):
        return certificate.key_bits < MIN_EC_BITS
    return certificate.key_type == "DSA"


def allows(certificate: Certificate, purpose: Purpose) -> bool:
    """Whether a certificate's extended key usage allows a purpose, a CA's for those below it (RFC 5280 4.2.1.12 as practised).

    anyExtendedKeyUsage does not count: OpenSSL and Firefox want the purpose itself. A usage that cannot be read forbids nothing; that it
    cannot be read is told separately.
    """
    usages = certificate.extended_usages
    if usages is not None and _USAGES[purpose].dotted_string not in usages:
        return False
    # OpenSSL asks a CA for its Netscape type only where it has no basic constraints
    netscape = None if certificate.is_ca else anatomy(certificate).netscape_types
    return netscape is None or _NETSCAPE[purpose] in netscape


def faults_as_ca(certificate: Certificate, *, now_s: int) -> tuple[LinkProblem, ...]:
    """Return why clients accept nothing below a CA certificate, beside what its statuses say; () if some do, or it stands for itself.

    One that is limited to other uses than TLS is of no use here; one for either TLS servers or clients is.
    """
    if certificate.is_self_signed and not certificate.is_ca:
        return ()
    found = [*_own_problems(certificate, now_s), *_issuer_problems(certificate, 0, Purpose.SERVER)]
    reported = {LinkProblem.EXPIRED, LinkProblem.WEAK_SIGNATURE}
    if allows(certificate, Purpose.CLIENT):
        reported.add(LinkProblem.PURPOSE)
    return tuple(problem for problem in found if problem not in reported)


def is_usable(certificate: Certificate, *, now_s: int, purpose: Purpose) -> bool:
    """Whether nothing is wrong with a CA certificate by itself."""
    return not (_own_problems(certificate, now_s) or _issuer_problems(certificate, 0, purpose))


def problems_of(
    path: Sequence[Certificate],
    *,
    now_s: int,
    comparisons: Comparisons,
    purpose: Purpose = Purpose.SERVER,
) -> tuple[tuple[LinkProblem, ...], ...]:
    """Return each link's problems, leaf first."""
    found = [_own_problems(certificate, now_s) for certificate in path]
    intermediates = 0
    for place, certificate in enumerate(path):
        if place == 0:
            continue
        found[place].extend(_issuer_problems(certificate, intermediates, purpose))
        if names_other_issuer(path[place - 1], certificate):
            found[place - 1].append(LinkProblem.OTHER_ISSUER)
        if certificate.subject_id != certificate.issuer_id:
            intermediates += 1
    if len(path) > 1 and not constraints_hold(path, comparisons):
        found[0].append(LinkProblem.NAME_CONSTRAINTS)
    if len(path) > 1 and not _policies_hold(path):
        found[0].append(LinkProblem.POLICY)
    return tuple(tuple(problems) for problems in found)


def _own_problems(certificate: Certificate, now_s: int) -> list[LinkProblem]:
    checks = (
        (LinkProblem.EXPIRED, has_ended(certificate, now_s=now_s)),
        (LinkProblem.NOT_YET_VALID, begins_later(certificate, now_s=now_s)),
        # nobody checks the signature that a root makes on itself
        (LinkProblem.WEAK_SIGNATURE, not certificate.is_self_signed and has_weak_signature(certificate)),
        (LinkProblem.WEAK_KEY, has_weak_key(certificate)),
        (LinkProblem.EXPLICIT_CURVE, anatomy(certificate).explicit_curve),
        (LinkProblem.CRITICAL_EXTENSION, bool(certificate.unknown_critical)),
        (
            LinkProblem.UNDECODABLE,
            bool(
                _NEEDED.intersection(certificate.undecodable)
                or certificate.misdated
                or has_invalid_extension(certificate)
            ),
        ),
    )
    return [problem for problem, there in checks if there]


def _issuer_problems(
    certificate: Certificate, intermediates_below: int, purpose: Purpose
) -> list[LinkProblem]:
    limit = certificate.path_length
    checks = (
        (LinkProblem.NOT_A_CA, not certificate.is_ca),
        (LinkProblem.KEY_USAGE, not certificate.may_sign),
        (LinkProblem.PURPOSE, not allows(certificate, purpose)),
        (LinkProblem.PATH_LENGTH, limit is not None and intermediates_below > limit),
    )
    return [problem for problem, there in checks if there]


def _policies_hold(path: Sequence[Certificate]) -> bool:
    """Whether a policy is common to the path where a CA of it demands one (RFC 5280 4.2.1.11).

    Mapped policies are not followed: with those on the path, it counts as holding.
    """
    below_root = path[:-1] if path[-1].is_self_signed else path
    demanded = any(
        place >= after
        for place, certificate in enumerate(below_root)
        if (after := anatomy(certificate).explicit_policy_after) is not None
    )
    if not demanded:
        return True
    if any(anatomy(one).maps_policies for one in below_root):
        return True
    common: frozenset[str] | None = None
    for certificate in below_root:
        own = anatomy(certificate).policies or frozenset()
        if _ANY_POLICY in own:
            continue
        common = own if common is None else common & own
    return common is None or bool(common)
