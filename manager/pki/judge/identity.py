"""Certificate identity: issuer, serial number, and the key, which these two do not guarantee.

Decides which certificates share an issuer and a serial number. Small CAs reuse serial numbers, and names are
written in several encodings, so neither equal text nor an equal number proves anything. Code that replaces
one certificate by another also compares the key. Invariant: a certificate whose fields cannot be read is
identical only with itself.
"""

from collections.abc import Iterable, Sequence

from common.ids import digest_of
from common.pki.certificate import Certificate


def issuer_of(certificate: Certificate) -> str:
    """Return a digest of the issuer's canonical name (`common.pki.name`), 64 hex digits."""
    return digest_of(certificate.issuer_id) if certificate.serial_no else certificate.fingerprint


def key_of(certificate: Certificate) -> str:
    """Return the public key's id, 64 hex digits.

    A key that cannot be read has an id of its certificate alone.
    """
    return certificate.public_key_id or certificate.fingerprint


def has_same_identity(one: Certificate, other: Certificate) -> bool:
    """Whether issuer and serial number are the same."""
    return (issuer_of(one), one.serial_no) == (issuer_of(other), other.serial_no)


def clashes(certificates: Iterable[Certificate], *, with_key: bool = False) -> list[Sequence[Certificate]]:
    """Return groups of different certificates with one issuer and serial number (and key, if that counts)."""
    groups: dict[tuple[str, ...], dict[Certificate, None]] = {}
    for each in certificates:
        key = (key_of(each),) if with_key else ()
        groups.setdefault((issuer_of(each), each.serial_no, *key), {})[each] = None
    return [tuple(group) for group in groups.values() if len(group) > 1]
