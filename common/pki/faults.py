"""Faults in a certificate's form: properties that clients or standards do not allow.

Decides from the certificate's own bytes. Leaves faults of its use in the fleet to `manager.pki.judge.lint`.
Invariant: an unreadable field is not a fault here; it is a separate finding.
"""

import datetime as dt
import ipaddress
import re
from collections.abc import Iterator

from common.pki.anatomy import (
    BASIC_CONSTRAINTS,
    KEY_USAGE,
    STATUS_REQUEST,
    SUBJECT_KEY,
    Anatomy,
    anatomy,
)
from common.pki.certificate import Certificate
from common.pki.expiry import DAY_S, lifetime_s
from common.pki.finding import LintCode, Severity
from common.text import xn_hint

_LABEL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?")
_LABEL_MAX, _NAME_MAX = 63, 253
_SERIAL_OCTETS_MAX = 20

_COMMON_CURVES = frozenset({"EC P-256", "EC P-384", "EC P-521"})
"""Those that TLS 1.3 signs with (RFC 8446 4.2.3); a curve without a name is a fault of its own."""

LEAST_EXPONENT = 3
"""RFC 8017 3.1: 3 or more, and odd."""

VERSION_WITH_EXTENSIONS = 3
LEAST_WILDCARD_LABELS = 2

PRIVATE_LIFETIME_DAYS = 825
"""Apple, for whatever was issued after 1 July 2019."""


def _begins(year: int, month: int, day: int) -> int:
    return int(dt.datetime(year, month, day, tzinfo=dt.UTC).timestamp())


_PUBLIC_LIFETIMES = (
    # CA/Browser Forum ballot SC-081v3 and, for 398 days, what Apple began with in 2020
    (_begins(2029, 3, 15), 47),
    (_begins(2027, 3, 15), 100),
    (_begins(2026, 3, 15), 200),
    (_begins(2020, 9, 1), 398),
)

Fault = tuple[LintCode, str, Severity | None]


def faults(certificate: Certificate) -> Iterator[Fault]:
    """Yield each fault with a sentence, and its severity where it is not the code's own."""
    parts = anatomy(certificate)
    lived_s = lifetime_s(certificate.not_before_s, certificate.not_after_s)
    if lived_s is not None and lived_s <= 0:
        yield LintCode.BACKWARDS_VALIDITY, "Its validity ends before it begins.", None
    yield from _of_key(certificate, parts)
    if (
        "keyCertSign" in (parts.key_usages or ())
        and not certificate.is_ca
        and certificate.knows("basic_constraints")
    ):
        yield LintCode.CA_USAGE, "Its key usage allows signing certificates, and it is no CA.", None
    if STATUS_REQUEST in parts.tls_features:
        yield (
            LintCode.MUST_STAPLE,
            "It demands a stapled OCSP response (must-staple); Firefox refuses it where the service sends none.",
            None,
        )
    if "frame" not in parts.unreadable:
        yield from _of_frame(parts)
    for name in dict.fromkeys(certificate.dns_names):
        if wrong := wrong_with(name):
            yield LintCode.ODD_NAME, f"Its name {name[:80]!r} {wrong}.", None


def _of_key(certificate: Certificate, parts: Anatomy) -> Iterator[Fault]:
    exponent = parts.rsa_exponent
    if exponent is not None and (exponent < LEAST_EXPONENT or not exponent % 2):
        yield LintCode.BAD_EXPONENT, f"The public exponent of its RSA key is {exponent}.", None
    if certificate.key_type == "EC P-521":
        yield LintCode.UNUSUAL_KEY, "Its key is on P-521, which Chrome does not accept.", None
    elif certificate.key_type == "Ed25519":
        yield LintCode.UNUSUAL_KEY, "Its key is Ed25519, which browsers do not accept.", None
    elif has_rare_key(certificate):
        what = certificate.key_type.removeprefix("EC ")
        yield (
            LintCode.UNUSUAL_KEY,
            f"Its key is {what}, which hardly any TLS client accepts.",
            Severity.ERROR,
        )
    if parts.explicit_curve:
        yield (
            LintCode.EXPLICIT_CURVE,
            "Its public key spells out the curve's parameters; OpenSSL refuses that.",
            None,
        )
    if parts.key_usages is not None and "digitalSignature" not in parts.key_usages:
        named = ", ".join(sorted(parts.key_usages)) or "nothing"
        yield (
            LintCode.KEY_USAGE,
            f"Its key usage allows {named} and lacks digitalSignature, which TLS needs.",
            None,
        )


def _of_frame(parts: Anatomy) -> Iterator[Fault]:
    if parts.version < VERSION_WITH_EXTENSIONS:
        yield LintCode.OLD_VERSION, f"It is of X.509 version {parts.version} and has no extensions.", None
    if serial := _serial_number(parts.serial, parts.serial_octets):
        # only a negative one is refused by any client that we tried
        yield LintCode.SERIAL_NUMBER, serial, None if parts.serial < 0 else Severity.NOTE
    if parts.issuer_is_empty:
        yield LintCode.EMPTY_ISSUER, "Its issuer has no name.", None


def has_rare_key(certificate: Certificate) -> bool:
    """Whether its key is of a kind that hardly any TLS client accepts; a curve that is spelled out is a fault of its own."""
    kind = certificate.key_type
    is_rare_curve = kind.startswith("EC ") and kind not in _COMMON_CURVES
    return kind == "Ed448" or (is_rare_curve and not anatomy(certificate).explicit_curve)


def too_long(certificate: Certificate, *, public: bool) -> str:
    """Return a sentence if it is valid for longer than clients allow under a public or a private root, "" if not."""
    begins, lived_s = certificate.not_before_s, lifetime_s(certificate.not_before_s, certificate.not_after_s)
    if begins is None or lived_s is None:
        return ""
    days = PRIVATE_LIFETIME_DAYS
    if public:
        days = next((most for since, most in _PUBLIC_LIFETIMES if begins >= since), PRIVATE_LIFETIME_DAYS)
    if lived_s <= days * DAY_S:
        return ""
    whose = "a public CA's" if public else "a certificate"
    return f"It is valid for {lived_s // DAY_S} days; clients accept {whose} for {days}."


def loosely_made(certificate: Certificate, *, is_last: bool) -> Iterator[str]:
    """Yield in what a certificate of a chain departs from RFC 5280 4.2.1 so that OpenSSL's -x509_strict refuses it.

    `is_last` says that it is where the chain ends, which need not name its issuer's key.
    """
    parts = anatomy(certificate)
    if parts.unreadable or parts.version < VERSION_WITH_EXTENSIONS:
        return
    if certificate.is_ca and KEY_USAGE not in parts.extensions:
        yield "is a CA and has no key usage"
    if certificate.is_ca and not parts.extensions.get(BASIC_CONSTRAINTS):
        yield "is a CA, and its basic constraints are not critical"
    if certificate.is_ca and SUBJECT_KEY not in parts.extensions:
        yield "is a CA and has no subject key identifier"
    if not is_last and parts.authority_key.key is None:
        yield "does not name its issuer's key (authority key identifier)"


def wrong_with(name: str) -> str:
    """Say why clients do not match a DNS name, "" if they do."""
    labels = name.split(".")
    # a wildcard for a whole top-level domain matches nothing
    plain = labels[1:] if labels[0] == "*" and len(labels) > LEAST_WILDCARD_LABELS else labels
    checks = (
        (_is_address(name), "is an IP address among the DNS names, where clients do not look for it"),
        (not name.isascii(), f"has other than ASCII letters{xn_hint(name)}"),
        (name.endswith("."), "ends in a dot"),
        (len(name) > _NAME_MAX, f"is longer than {_NAME_MAX} characters"),
        (any("*" in label for label in plain), "has a wildcard where clients do not expand it"),
        (
            any(len(label) > _LABEL_MAX for label in plain),
            f"has a part of more than {_LABEL_MAX} characters",
        ),
        ("_" in name, "has an underscore, which host names do not have"),
        (not all(_LABEL.fullmatch(label) for label in plain), "is not a host name"),
    )
    return next((wrong for there, wrong in checks if there), "")


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _serial_number(serial: int, octets: int) -> str:
    if serial < 0:
        return "Its serial number is negative."
    if serial == 0:
        return "Its serial number is zero."
    # a leading zero octet only keeps a positive number positive
    if octets > _SERIAL_OCTETS_MAX and serial.bit_length() > _SERIAL_OCTETS_MAX * 8 - 1:
        return f"Its serial number has {octets} octets; {_SERIAL_OCTETS_MAX} are allowed."
    return ""
