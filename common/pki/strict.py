"""Strict verdict: whether a strict client would accept this server now, by the library's verifier (Web PKI rules).

Adds checks that clients make and the library does not: keys and key usages that no handshake can use, explicit curve
parameters, CAs for any purpose except this one, email addresses in subjects. A second answer besides `manager.pki.chain`,
never a replacement: it gives no chain, and refuses certificates that many clients still accept (SHA-1, RSA-1024 roots,
no subject alternative name, Ed25519). Invariant: never raises for any certificate, and bounds the verifier's work.
"""

import datetime as dt
import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from cryptography import x509
from cryptography.x509.verification import (
    Criticality,
    ExtensionPolicy,
    PolicyBuilder,
    Store,
    VerificationError,
)

from common.errors import PkiError
from common.pki.anatomy import anatomy
from common.pki.certificate import Certificate, load
from common.pki.constraints import Comparisons, comparisons_needed, constraints_hold, own_constraints_hold
from common.pki.faults import LEAST_EXPONENT, has_rare_key
from common.pki.path import Purpose, allows, has_invalid_extension, has_weak_key, names_other_issuer
from common.pki.signature import DECODING_ERRORS
from common.pki.verdicts import in_words

MAX_INTERMEDIATES = 16
"""Handed over at most; a server sends one to three. More make the verifier search in a way that we cannot bound."""

MAX_COMPARISONS = 100_000
"""Names times constraints; one hostile certificate costs seconds without a limit."""

SELF_SIGNED = "it is self-signed, and not among the trusted roots"
"""Why clients refuse a certificate that no CA issued, whatever else it lacks."""

OWN_CONSTRAINTS = "it has name constraints, which only a CA should have, and its own name is outside them"

_WILDCARD_LABEL = "any"

_CA_POLICY = ExtensionPolicy.webpki_defaults_ca()
_LEAF_POLICY = ExtensionPolicy.webpki_defaults_ee().may_be_present(
    x509.NameConstraints, Criticality.AGNOSTIC, None
)
"""The library alone refuses a leaf with name constraints, which RFC 5280 4.2.1.10 leaves to CAs: OpenSSL (-x509_strict too), Go, GnuTLS and
Chromium pass over them."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a strict client accepts it; `reason` says why not, in words for people, "" if it does."""

    accepted: bool
    reason: str = ""


class StrictClient:
    """A client that trusts these roots. Made once for many questions."""

    def __init__(self, roots: Iterable[Certificate]) -> None:
        self._roots = dict(_loaded(root for root in roots if root.is_self_signed))
        self._store = Store(list(self._roots)) if self._roots else None

    def ask(
        self,
        leaf: Certificate,
        sent: Iterable[Certificate],
        *,
        now_s: int,
        name: str | None = None,
        purpose: Purpose = Purpose.SERVER,
    ) -> Verdict:
        """Ask about a leaf with the intermediates that a server sends along.

        `name` is what the client dialled (host name or IP address); the leaf's first alternative name if None. A certificate that is
        shown as a client's is asked about without a name.
        """
        intermediates = list(sent)
        for one in (leaf, *intermediates):
            if reason := _unreadable(one):
                return Verdict(accepted=False, reason=reason)
        if self._store is None:
            return Verdict(accepted=False, reason="no root is trusted")
        if (
            len(intermediates) > MAX_INTERMEDIATES
            or comparisons_needed(leaf, [leaf, *intermediates]) > MAX_COMPARISONS
        ):
            return Verdict(accepted=False, reason="the chain takes too much work to verify")
        subject = None
        if purpose is Purpose.SERVER:
            subject = _subject(name if name is not None else _first_name(leaf))
            if subject is None:
                return Verdict(accepted=False, reason="there is no subject alternative name to ask for")
        builder = PolicyBuilder().store(self._store).time(dt.datetime.fromtimestamp(now_s, tz=dt.UTC))
        builder = builder.extension_policies(ca_policy=_CA_POLICY, ee_policy=_LEAF_POLICY)
        try:
            # the bytes that are sent are judged, not what the library makes of them
            known = self._roots | {load(one.der): one for one in (*intermediates, leaf)}
            loaded, sending = load(leaf.der), [load(one.der) for one in intermediates]
            if subject is not None:
                way = builder.build_server_verifier(subject).verify(loaded, sending)
            else:
                way = builder.build_client_verifier().verify(loaded, sending).chain
            return _also_for_openssl([known[one] for one in way], purpose)
        except (VerificationError, PkiError, *DECODING_ERRORS) as error:
            return Verdict(accepted=False, reason=self._reason(leaf, error))

    def _reason(self, leaf: Certificate, error: Exception) -> str:
        if leaf.is_self_signed and leaf not in self._roots.values():
            # what else the library names first is of no use to somebody who only has to trust it
            return SELF_SIGNED
        if leaf.has_name_constraints and not own_constraints_hold(leaf, Comparisons(MAX_COMPARISONS)):
            return OWN_CONSTRAINTS
        return in_words(str(error))


def _unreadable(one: Certificate) -> str:
    if not one.opens_strictly:
        why = one.oddities[0] if one.oddities else "A field of it cannot be decoded."
        return f"'{one.label}' is not encoded as it must be: {why}"
    if one.not_before_s is None or one.not_after_s is None:
        # the library reads some moments that are not a date here, such as any in the year 0
        return f"when '{one.label}' is valid cannot be read"
    return ""


def _also_for_openssl(way: Sequence[Certificate], purpose: Purpose) -> Verdict:
    """Judge the way that the library took by what OpenSSL looks at besides."""
    for certificate in way:
        if anatomy(certificate).explicit_curve:
            reason = f"the public key of {certificate.label} spells out its curve's parameters"
            return Verdict(accepted=False, reason=reason)
        if not allows(certificate, purpose):
            reason = f"the extended key usage of {certificate.label} does not allow this use"
            return Verdict(accepted=False, reason=reason)
        if has_weak_key(certificate):
            reason = f"the key of {certificate.label} is too short: {certificate.key_type} of {certificate.key_bits} bits"
            return Verdict(accepted=False, reason=reason)
        if has_invalid_extension(certificate):
            reason = f"an extension of {certificate.label} occurs twice, or cannot be read"
            return Verdict(accepted=False, reason=reason)
    for certificate, issuer in pairwise(way):
        if names_other_issuer(certificate, issuer):
            reason = f"the authority key identifier of {certificate.label} means another certificate than {issuer.label}"
            return Verdict(accepted=False, reason=reason)
    if unfit := _unfit_for_handshakes(way[0]):
        return Verdict(accepted=False, reason=unfit)
    if not constraints_hold(way, Comparisons(MAX_COMPARISONS)):
        return Verdict(
            accepted=False, reason=f"a name of {way[0].label} is outside what a CA above may sign for"
        )
    return Verdict(accepted=True)


def _unfit_for_handshakes(leaf: Certificate) -> str:
    """Say why clients refuse the handshake with a certificate that they could verify, "" if they do not."""
    parts = anatomy(leaf)
    exponent = parts.rsa_exponent
    if exponent is not None and (exponent < LEAST_EXPONENT or not exponent % 2):
        return f"the public exponent of its RSA key is {exponent}"
    if has_rare_key(leaf):
        return f"its key is {leaf.key_type.removeprefix('EC ')}, which hardly any TLS client accepts"
    if parts.key_usages is not None and "digitalSignature" not in parts.key_usages:
        return "its key usage does not allow digital signatures, which TLS needs"
    return ""


def _loaded(roots: Iterable[Certificate]) -> Iterable[tuple[x509.Certificate, Certificate]]:
    """Load each root by itself: one that the library refuses must not take the others' trust away."""
    for root in roots:
        try:
            yield load(root.der), root
        except PkiError:
            continue


def _first_name(leaf: Certificate) -> str:
    if leaf.dns_names:
        first = leaf.dns_names[0]
        return _WILDCARD_LABEL + first[1:] if first.startswith("*.") else first
    return leaf.ip_addresses[0] if leaf.ip_addresses else ""


def _subject(name: str) -> x509.DNSName | x509.IPAddress | None:
    if not name:
        return None
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        pass
    try:
        return x509.DNSName(name)
    except ValueError:
        return None
