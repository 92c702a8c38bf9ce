"""Certificate lint: what an operator should know about a certificate beyond its status.

Decides from the certificate, its chain, and the store's knowledge about it. No finding here prevents its use.
Invariant: findings come in a fixed order, each code at most once per name.
"""

import ipaddress
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from common.codes import ChainState
from common.explained.statuses import explain
from common.pki.anatomy import anatomy
from common.pki.certificate import Certificate
from common.pki.constraints import Comparisons, own_constraints_hold, seldom_applied
from common.pki.faults import faults, loosely_made, too_long
from common.pki.finding import Finding, LintCode, Severity
from common.pki.path import (
    Purpose,
    allows,
    begins_later,
    has_invalid_extension,
    has_weak_key,
    has_weak_signature,
)
from common.pki.signature import unusual
from manager.pki.chain.chain import Chain

MISMATCHED_MAX: Final = 20
"""Names of nodes that are listed one by one if a certificate is valid for none of thousands."""

COMPARISONS_MAX: Final = 10_000
"""Limit of names times constraints of one certificate; beyond it, names count as excluded."""

_EXAMINED = frozenset(
    {
        *("subject_alt_names", "key_usage", "extended_key_usage", "basic_constraints"),
        *("name_constraints", "key_id", "issuer_key_id"),
        *("not_before", "not_after"),
    }
)
"""OpenSSL refuses a certificate if one of these cannot be decoded."""

_RARE_HASHES = ("sha3-", "sha512-")
"""Prefixes of further fields that prevent verification by OpenSSL, depending on its release and the key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """The store's knowledge about a certificate.

    Attributes:
        slots: the kinds of slot that it is in ("server", "client"); empty if no node has it.
        node_names: the FQDN and alternative FQDNs of the nodes that have it in their server slot.
        client_names: those of the nodes that present it as a client.
        key_shared_by: labels of other certificates with the same key.
        chain: its chain of trust, if it was built.
        has_public_root: whether its chain ends at a root of the built-in list.
        ca_key_of: labels of trusted CAs with the same key.
        unloadable: labels of certificates that OpenSSL cannot load, of it and those that came with it, and
            why.
    """

    slots: Collection[str] = ("server",)
    node_names: Sequence[str] = ()
    client_names: Sequence[str] = ()
    key_shared_by: Sequence[str] = ()
    chain: Chain | None = None
    unloadable: Sequence[tuple[str, str]] = ()
    has_public_root: bool = False
    ca_key_of: Sequence[str] = ()


def covers(certificate: Certificate, name: str) -> bool:
    """Whether a client of `name` (host name or IP address) would accept the certificate's names.

    RFC 6125 6.4.3: a wildcard is the whole left-most label and stands for one label. The Common Name does not
    count. Clients drop a trailing dot from the name that they connect to, but not from a name in a
    certificate.
    """
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        wanted = name.lower().rstrip(".")
        parent = "*." + wanted.partition(".")[2]
        known = {dns.lower() for dns in certificate.dns_names}
        return wanted in known or parent in known
    return str(address) in certificate.ip_addresses


def lint(
    certificate: Certificate, *, now_s: int, circumstances: Circumstances | None = None
) -> tuple[Finding, ...]:
    """Return all findings about a TLS certificate."""
    known = circumstances if circumstances is not None else Circumstances()
    return (
        *_about_itself(certificate, known.chain, now_s),
        *(found(code, message, severity) for code, message, severity in faults(certificate)),
        *_about_form(certificate, known.chain),
        *_about_constraints(certificate, known.chain),
        *_about_lifetime(certificate, known),
        *_about_purpose(certificate, known),
        *_about_names(certificate, known),
        *_about_place(known),
    )


def found(code: LintCode, message: str, severity: Severity | None = None) -> Finding:
    """Make a finding with its code's severity, unless another one is given."""
    return Finding(code, message, severity if severity is not None else explain(code).severity)


def _about_itself(certificate: Certificate, chain: Chain | None, now_s: int) -> list[Finding]:
    undecodable = ", ".join(certificate.undecodable)
    departures = " ".join(_departures(certificate, chain))
    checks = (
        (begins_later(certificate, now_s=now_s), LintCode.NOT_YET_VALID, "It is not valid yet."),
        (
            has_weak_key(certificate),
            LintCode.WEAK_KEY,
            f"Its key is weak: {certificate.key_type} with {certificate.key_bits} bits.",
        ),
        (
            bool(undecodable),
            LintCode.UNDECODABLE,
            f"These of its fields cannot be decoded, so they are unknown: {undecodable}.",
        ),
        (
            bool(departures),
            LintCode.ODD_ENCODING,
            f"It is not encoded as the standard says: {departures}",
        ),
        (
            certificate.is_ca and not certificate.is_self_signed,
            LintCode.IS_CA,
            "It is a CA certificate; clients may refuse it as a server certificate.",
        ),
    )
    unread = _EXAMINED.intersection(certificate.undecodable)
    worse = {LintCode.UNDECODABLE: Severity.ERROR} if unread else {}
    if certificate.misdated or has_invalid_extension(certificate):
        worse[LintCode.ODD_ENCODING] = Severity.ERROR
    return [found(code, message, worse.get(code)) for there, code, message in checks if there]


def _departures(certificate: Certificate, chain: Chain | None) -> list[str]:
    """Return, in a sentence each, the departures from the standard that some clients refuse."""
    found = [] if certificate.opens_strictly else list(certificate.oddities)
    if anatomy(certificate).repeats_policy:
        found.append("It names a certificate policy twice, and Go refuses that.")
    links = [link.certificate for link in chain.links] if chain is not None else []
    found += [
        f"{below.label} writes its issuer's name with other octets than {above.label} writes that name, and Go compares these."
        for below, above in pairwise(links)
        if anatomy(below).issuer_der != anatomy(above).subject_der
    ]
    return found


def _about_form(certificate: Certificate, chain: Chain | None) -> list[Finding]:
    """Judge the form of the certificate and of the CAs above it: clients check each of them."""
    way = [link.certificate for link in chain.links] if chain is not None else [certificate]
    findings = []
    # nobody checks a root's signature on itself, and a weak one is reported as such
    checked = [one for one in way if not one.is_self_signed and not has_weak_signature(one)]
    unusually = {
        one: algorithm for one in checked if (algorithm := unusual(anatomy(one).signature_algorithm))
    }
    if unusually:
        signed = [
            f"{'It' if one is certificate else one.label} is signed with {algorithm}."
            for one, algorithm in unusually.items()
        ]
        rare = any(one.signature_hash.startswith(_RARE_HASHES) for one in unusually)
        message = f"Browsers do not verify the signature: {' '.join(signed)}"
        findings.append(found(LintCode.UNUSUAL_SIGNATURE, message, Severity.ERROR if rare else None))
    loose = [
        f"{'It' if one is certificate else one.label} {wrong}."
        for one in way
        for wrong in loosely_made(one, is_last=one is way[-1])
    ]
    if loose and chain is not None and chain.reaches_root and not certificate.is_self_signed:
        findings.append(
            found(LintCode.LOOSE_FORM, f"Clients built on Python 3.13 or later refuse it: {' '.join(loose)}")
        )
    return findings


def _about_constraints(certificate: Certificate, chain: Chain | None) -> list[Finding]:
    """Find name constraints, in the certificate or the CAs above it, that clients interpret differently."""
    odd = []
    if certificate.has_name_constraints and not own_constraints_hold(
        certificate, Comparisons(COMPARISONS_MAX)
    ):
        odd.append("It has name constraints, which only a CA should have, and they exclude its own name.")
    way = [link.certificate for link in chain.links] if chain is not None else [certificate]
    odd += [
        f"{'It' if one is certificate else one.label} constrains {form}."
        for one in way
        if (form := seldom_applied(one))
    ]
    if not odd:
        return []
    return [found(LintCode.NAME_CONSTRAINTS, f"Some clients refuse it: {' '.join(odd)}")]


def _about_lifetime(certificate: Certificate, known: Circumstances) -> list[Finding]:
    # a self-signed certificate is not from a CA, and its status already says that it is temporary
    message = "" if certificate.is_self_signed else too_long(certificate, public=known.has_public_root)
    severity = Severity.ERROR if known.has_public_root else None
    return [found(LintCode.LONG_LIFETIME, message, severity)] if message else []


def _about_purpose(certificate: Certificate, known: Circumstances) -> list[Finding]:
    """Judge the extended key usage by the slots: a server needs serverAuth and a client clientAuth."""
    findings = []
    names_none = certificate.extended_usages is None and certificate.knows("extended_key_usage")
    if names_none and ("server" in known.slots or not known.slots):
        message = "It has no extended key usage; Apple's clients want serverAuth to be named."
        findings.append(found(LintCode.NO_PURPOSE, message))
    if not allows(certificate, Purpose.SERVER) and ("server" in known.slots or not known.slots):
        message = "Its extended key usage lacks serverAuth; TLS clients will refuse it."
        severity = None if known.slots else Severity.WARNING
        findings.append(found(LintCode.NO_SERVER_AUTH, message, severity))
    if not allows(certificate, Purpose.CLIENT) and "client" in known.slots:
        message = "Its extended key usage lacks clientAuth; peers will refuse it as a TLS client certificate (SIP mutual TLS)."
        findings.append(found(LintCode.NO_CLIENT_AUTH, message))
    return findings


def _about_names(certificate: Certificate, known: Circumstances) -> list[Finding]:
    findings = []
    name = certificate.subject_name
    if not certificate.knows("subject_alt_names"):
        pass  # unknown is not absent
    elif not certificate.has_subject_alt_names:
        findings.append(
            found(
                LintCode.NO_SAN,
                "It has no subject alternative name; browsers no longer match the Common Name.",
            )
        )
    elif not certificate.subject_alt_names:
        message = "Its subject alternative name holds no host name and no address; browsers do not match the Common Name."
        findings.append(found(LintCode.NO_SAN, message))
    elif _looks_like_host(name) and not covers(certificate, name):
        # the specification's "typically a repeat of the Common Name"
        findings.append(
            found(LintCode.NAME_NOT_IN_SAN, f"Its name {name} is not among its subject alternative names.")
        )
    wild = [dns for dns in (*certificate.dns_names, name) if dns.startswith("*")]
    if wild:
        findings.append(
            found(LintCode.WILDCARD, f"{wild[0]} is a wildcard; SIP does not allow those (RFC 5922 7.2).")
        )
    # a peer checks the name in a client's certificate only if its policy says so (RFC 5922 7.1)
    names = dict.fromkeys(known.client_names, Severity.WARNING) | dict.fromkeys(known.node_names)
    mismatched = [(name, severity) for name, severity in names.items() if not covers(certificate, name)]
    findings.extend(
        found(LintCode.NODE_NAME_MISMATCH, f"It is not valid for the node's name {name}.", severity)
        for name, severity in mismatched[:MISMATCHED_MAX]
    )
    if rest := mismatched[MISMATCHED_MAX:]:
        only_warned = all(severity is Severity.WARNING for _, severity in rest)
        message = f"It is not valid for {len(rest):,} more names of nodes."
        findings.append(
            found(LintCode.NODE_NAME_MISMATCH, message, Severity.WARNING if only_warned else None)
        )
    return findings


def _about_place(known: Circumstances) -> list[Finding]:
    findings = [
        found(
            LintCode.UNLOADABLE,
            f"{label} is held out of what nodes get, because OpenSSL cannot load it: {why}.",
        )
        for label, why in known.unloadable
    ]
    # a self-signed certificate's status says so already
    if known.chain is not None and known.chain.state not in {ChainState.COMPLETE, ChainState.SELF_SIGNED}:
        findings.append(found(LintCode.CHAIN, known.chain.explanation, explain(known.chain.state).severity))
    if known.ca_key_of:
        findings.append(
            found(LintCode.CA_KEY, f"It shares its key with the trusted CA {', '.join(known.ca_key_of)}.")
        )
    if known.key_shared_by:
        findings.append(
            found(LintCode.KEY_SHARED, f"Its key is also used by {', '.join(known.key_shared_by)}.")
        )
    if not known.slots:
        findings.append(found(LintCode.UNASSIGNED, "It is not assigned to any node."))
    return findings


def _looks_like_host(name: str) -> bool:
    return "." in name and " " not in name
