"""What else an operator should know about a certificate, beyond its status.

Decides from the certificate, its chain, and what the store knows about it. Nothing here stops a certificate from being used.
Invariant: findings come in a fixed order, each code at most once per name.
"""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from common.pki.certificate import Certificate
from common.pki.chain import Chain, ChainState
from common.pki.path import has_weak_key


class LintCode(StrEnum):
    """What was found; stable for machines."""

    NOT_YET_VALID = "not_yet_valid"
    WEAK_KEY = "weak_key"
    UNDECODABLE = "undecodable"
    NO_SAN = "no_san"
    NAME_NOT_IN_SAN = "name_not_in_san"
    WILDCARD = "wildcard"
    NODE_NAME_MISMATCH = "node_name_mismatch"
    NO_SERVER_AUTH = "no_server_auth"
    NO_CLIENT_AUTH = "no_client_auth"
    IS_CA = "is_ca"
    CHAIN = "chain"
    KEY_SHARED = "key_shared"
    UNASSIGNED = "unassigned"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing worth knowing, as a code and as a sentence."""

    code: LintCode
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """What the store knows about a certificate.

    Attributes:
        assigned: whether any node has it.
        node_names: the FQDN and alternative FQDNs of those nodes.
        key_shared_by: labels of other certificates with the same key.
        chain: its chain of trust, where it was built.
    """

    assigned: bool = True
    node_names: Sequence[str] = ()
    key_shared_by: Sequence[str] = ()
    chain: Chain | None = None


def covers(certificate: Certificate, name: str) -> bool:
    """Tell whether a client that asks for `name` (host name or IP address) would accept the certificate's names.

    RFC 6125 6.4.3: a wildcard is the whole left-most label and stands for one label. The Common Name does not count.
    """
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        wanted = name.lower().rstrip(".")
        parent = "*." + wanted.partition(".")[2]
        known = {dns.lower().rstrip(".") for dns in certificate.dns_names}
        return wanted in known or parent in known
    return str(address) in certificate.ip_addresses


def lint(
    certificate: Certificate, *, now_s: int, circumstances: Circumstances | None = None
) -> tuple[Finding, ...]:
    """Return everything worth knowing about a TLS certificate."""
    known = circumstances if circumstances is not None else Circumstances()
    return (*_about_itself(certificate, now_s), *_about_names(certificate, known), *_about_place(known))


def _about_itself(certificate: Certificate, now_s: int) -> list[Finding]:
    undecodable = ", ".join(certificate.undecodable)
    checks = (
        (now_s < certificate.not_before_s, LintCode.NOT_YET_VALID, "It is not valid yet."),
        (
            has_weak_key(certificate),
            LintCode.WEAK_KEY,
            f"Its key is weak: {certificate.key_type} with {certificate.key_bits} bits.",
        ),
        (
            bool(undecodable),
            LintCode.UNDECODABLE,
            f"These of its fields cannot be decoded: {undecodable}.",
        ),
        (
            not _may_be(certificate, server=True),
            LintCode.NO_SERVER_AUTH,
            "Its extended key usage lacks serverAuth; TLS clients will refuse it.",
        ),
        (
            not _may_be(certificate, server=False),
            LintCode.NO_CLIENT_AUTH,
            "Its extended key usage lacks clientAuth; it cannot be shown as a TLS client certificate (SIP mutual TLS).",
        ),
        (
            certificate.is_ca and not certificate.is_self_signed,
            LintCode.IS_CA,
            "It is a CA certificate; clients may refuse it as a server's.",
        ),
    )
    return [Finding(code, message) for there, code, message in checks if there]


def _may_be(certificate: Certificate, *, server: bool) -> bool:
    if certificate.extended_usages is None:
        return True
    return certificate.server_auth_usage if server else certificate.client_auth_usage


def _about_names(certificate: Certificate, known: Circumstances) -> list[Finding]:
    found = []
    name = certificate.subject_name
    if not certificate.subject_alt_names:
        found.append(
            Finding(
                LintCode.NO_SAN,
                "It has no subject alternative name; browsers no longer match the Common Name.",
            )
        )
    elif _looks_like_host(name) and not covers(certificate, name):
        # the specification's "typically a repeat of the Common Name"
        found.append(
            Finding(LintCode.NAME_NOT_IN_SAN, f"Its name {name} is not among its subject alternative names.")
        )
    wild = [dns for dns in (*certificate.dns_names, name) if dns.startswith("*")]
    if wild:
        found.append(
            Finding(LintCode.WILDCARD, f"{wild[0]} is a wildcard; SIP does not allow those (RFC 5922 7.2).")
        )
    found.extend(
        Finding(LintCode.NODE_NAME_MISMATCH, f"It is not valid for the node's name {node_name}.")
        for node_name in dict.fromkeys(known.node_names)
        if not covers(certificate, node_name)
    )
    return found


def _about_place(known: Circumstances) -> list[Finding]:
    found = []
    # a self-signed certificate's status says so already
    if known.chain is not None and known.chain.state not in {ChainState.COMPLETE, ChainState.SELF_SIGNED}:
        found.append(Finding(LintCode.CHAIN, known.chain.explanation))
    if known.key_shared_by:
        found.append(
            Finding(LintCode.KEY_SHARED, f"Its key is also used by {', '.join(known.key_shared_by)}.")
        )
    if not known.assigned:
        found.append(Finding(LintCode.UNASSIGNED, "It is not assigned to any node."))
    return found


def _looks_like_host(name: str) -> bool:
    return "." in name and " " not in name
