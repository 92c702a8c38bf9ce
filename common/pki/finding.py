"""Findings about a certificate: a stable code, how bad it is, and a sentence.

Decides which codes and severities exist. Leaves finding them to `faults` and `manager.pki.judge.lint`, and their
meanings to `common.explained`.
Invariant: a code never changes its meaning.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """How bad a finding is; the worst first."""

    ERROR = "error"
    """Clients refuse the certificate, or it cannot be served."""
    WARNING = "warning"
    """Some clients refuse it, or will soon."""
    NOTE = "note"
    """Worth knowing; no client refuses it for this."""


class LintCode(StrEnum):
    """What was found; stable for machines."""

    NOT_YET_VALID = "not_yet_valid"
    BACKWARDS_VALIDITY = "backwards_validity"
    WEAK_KEY = "weak_key"
    BAD_EXPONENT = "bad_exponent"
    UNUSUAL_KEY = "unusual_key"
    EXPLICIT_CURVE = "explicit_curve"
    KEY_USAGE = "key_usage"
    UNUSUAL_SIGNATURE = "unusual_signature"
    LOOSE_FORM = "loose_form"
    NAME_CONSTRAINTS = "name_constraints"
    MUST_STAPLE = "must_staple"
    OLD_VERSION = "old_version"
    SERIAL_NUMBER = "serial_number"
    EMPTY_ISSUER = "empty_issuer"
    LONG_LIFETIME = "long_lifetime"
    UNLOADABLE = "unloadable"
    UNDECODABLE = "undecodable"
    ODD_ENCODING = "odd_encoding"
    NO_SAN = "no_san"
    NAME_NOT_IN_SAN = "name_not_in_san"
    ODD_NAME = "odd_name"
    WILDCARD = "wildcard"
    NODE_NAME_MISMATCH = "node_name_mismatch"
    NO_PURPOSE = "no_purpose"
    NO_SERVER_AUTH = "no_server_auth"
    NO_CLIENT_AUTH = "no_client_auth"
    IS_CA = "is_ca"
    CA_USAGE = "ca_usage"
    CHAIN = "chain"
    CA_KEY = "ca_key"
    KEY_SHARED = "key_shared"
    UNASSIGNED = "unassigned"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing worth knowing, as a code, a sentence, and how bad it is here."""

    code: LintCode
    message: str
    severity: Severity


_ORDER = tuple(Severity)


def worst(findings: Iterable[Finding]) -> Severity | None:
    """Return the worst severity among findings, None if there are none."""
    return min((each.severity for each in findings), key=_ORDER.index, default=None)


def by_severity(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return the findings with the worst first; those of one severity stay in their order."""
    return tuple(sorted(findings, key=lambda each: _ORDER.index(each.severity)))
