"""Trust store rules: which changes need a confirmation, and how many names fit into TLS.

Pure. Invariant: renewing a CA (same name, same key) is not a loss.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Final

from common.ids import TrustedCaId
from common.pki.anatomy import anatomy
from common.pki.certificate import Certificate
from common.words import listed
from manager.domain.inventory import Trust
from manager.domain.model import TrustedCaRecord
from manager.pki.judge.identity import has_same_identity, key_of

LOSS_MAX: Final = Fraction(1, 5)
"""Losing more than this share of the custom CAs at once is probably a mistake.

Losing all always needs a confirmation.
"""


CLIENT_CA_LIST_MAX_BYTES: Final = 65_535 - 6 - 70
"""Size limit for the CA names that a verifying server can send.

TLS 1.3 puts them, with 6 bytes of headings, into one block of 65,535 bytes (RFC 8446 4.3.2, 4.2.4) with the
signature algorithms (4.2.3). 70 bytes are reserved for 32 of those; OpenSSL 3.0 has 16, and its handshakes
fail beyond 65,491. TLS 1.2 has room for 65,535 (RFC 5246 7.4.4).
"""


def namesakes(trust: Trust, new: Iterable[Certificate]) -> str:
    """Return a sentence if new trusted CAs share the name, but not the key, of a trusted one.

    "" if none does.
    """
    known: dict[bytes, list[tuple[int, Certificate]]] = {}
    for number, one in trust.custom.items():
        known.setdefault(one.subject_id, []).append((number, one))
    pairs = [
        f"'{one.label}' (new, fingerprint {one.fingerprint[:16]}) and trusted CA {number} (fingerprint {other.fingerprint[:16]})"
        for one in new
        for number, other in known.get(one.subject_id, ())
        if key_of(other) != key_of(one)
    ]
    if not pairs:
        return ""
    return f"Different CAs have the same name, with different keys: {listed(pairs)}. All of them are trusted."


def replaced_cas(trust: Trust, new: Iterable[Certificate]) -> Sequence[TrustedCaId]:
    """Return the custom CAs that `new` ones replace: those with the same issuer, serial number and key."""
    known: dict[str, list[Certificate]] = {}
    for one in new:
        known.setdefault(key_of(one), []).append(one)
    return [
        number
        for number, one in sorted(trust.custom.items())
        if any(has_same_identity(one, each) and one != each for each in known.get(key_of(one), ()))
    ]


def client_ca_list_bytes(certificates: Iterable[Certificate]) -> int:
    """Return the size of these CAs' names in a TLS server's certificate request; each name is sent once."""
    names = {one.subject_id: anatomy(one).subject_der for one in certificates}
    return sum(len(name) + 2 for name in names.values())


def client_ca_list(records: Mapping[TrustedCaId, TrustedCaRecord], trust: Trust) -> str:
    """Return a sentence if a trust file of nodes has more names than TLS can send, "" if none has."""
    too_long = _too_long(_verifying(records, trust), trust)
    return _too_long_text(too_long) if too_long else ""


def longer_client_ca_list(
    records: Mapping[TrustedCaId, TrustedCaRecord],
    trust: Trust,
    new: Iterable[Certificate],
    *,
    gone: Collection[TrustedCaId] = (),
) -> str:
    """Return such a sentence if `new` CAs instead of those `gone` make trust files too long, else ""."""
    left = _verifying({number: one for number, one in records.items() if number not in gone}, trust)
    before, after = _too_long(_verifying(records, trust), trust), _too_long([*left, *new], trust)
    made = {name: size for name, size in after.items() if name not in before}
    return _too_long_text(made) if made else ""


def longer_published_list(before: Iterable[Certificate], after: Iterable[Certificate]) -> str:
    """Return such a sentence if a node's names fit into TLS `before`, but not `after`, else ""."""
    size = client_ca_list_bytes(after)
    if size <= CLIENT_CA_LIST_MAX_BYTES or client_ca_list_bytes(before) > CLIENT_CA_LIST_MAX_BYTES:
        return ""
    return _too_long_text({"ca-certificates.pem": size})


def _verifying(records: Mapping[TrustedCaId, TrustedCaRecord], trust: Trust) -> list[Certificate]:
    return [
        trust.custom[number]
        for number, record in records.items()
        if record.is_anchor and number in trust.custom and number not in trust.held_out
    ]


def _too_long(custom: Sequence[Certificate], trust: Trust) -> dict[str, int]:
    """Return the size of names in each trust file that has more than TLS can send."""
    sizes = {
        "custom-ca.pem": client_ca_list_bytes(custom),
        "ca-certificates.pem": client_ca_list_bytes((*custom, *trust.builtin)),
    }
    return {name: size for name, size in sizes.items() if size > CLIENT_CA_LIST_MAX_BYTES}


def _too_long_text(too_long: Mapping[str, int]) -> str:
    files = " and ".join(f"{name} ({size:,} bytes of names)" for name, size in too_long.items())
    return (
        f"A service that asks clients for a certificate by {files} fails at every TLS handshake: there is room for "
        f"{CLIENT_CA_LIST_MAX_BYTES:,} bytes. Delete trusted CAs that are not needed, or let such services read a shorter list of their own."
    )


def loss(before: Iterable[Certificate], after: Iterable[Certificate]) -> str:
    """Return a sentence if a change drops all or more than a fifth of the custom CAs, "" if it does not."""
    had = {_identity(one): one for one in before}
    kept = {_identity(one) for one in after}
    lost = [one for identity, one in had.items() if identity not in kept]
    if not lost or (len(lost) < len(had) and Fraction(len(lost), len(had)) <= LOSS_MAX):
        return ""
    names = ", ".join(one.display_name for one in lost[:5])
    more = f" and {len(lost) - 5} more" if len(lost) > 5 else ""
    return f"this drops {len(lost)} of {len(had)} custom trusted CAs on every node: {names}{more}"


def _identity(certificate: Certificate) -> tuple[bytes, str | None]:
    return certificate.subject_id, certificate.public_key_id or certificate.fingerprint
