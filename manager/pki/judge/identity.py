"""Certificate identity: issuer, serial number, and the key that the two do not promise.

Decides which certificates an issuer and a serial number name together. Small CAs give one serial number several times, and names
are written in several encodings, so equal text proves nothing and neither does an equal number: whoever replaces one certificate by
another compares the key too. Invariant: a certificate whose fields cannot be read is identical with itself only.
"""

from collections.abc import Iterable, Sequence

from common.ids import digest_of
from common.pki.certificate import Certificate


def issuer_of(certificate: Certificate) -> str:
    """Return a digest of the issuer's canonical name (`common.pki.name`), 64 hex digits."""
    return digest_of(certificate.issuer_id) if certificate.serial_no else certificate.fingerprint


def key_of(certificate: Certificate) -> str:
    """Return the public key's id, 64 hex digits; a key that cannot be read is this certificate's alone."""
    return certificate.public_key_id or certificate.fingerprint


def has_same_identity(one: Certificate, other: Certificate) -> bool:
    """Whether issuer and serial number are the same."""
    return (issuer_of(one), one.serial_no) == (issuer_of(other), other.serial_no)


def clashes(certificates: Iterable[Certificate], *, with_key: bool = False) -> list[Sequence[Certificate]]:
    """Return the groups of different certificates that have one issuer and serial number, and one key if that counts too."""
    groups: dict[tuple[str, ...], dict[Certificate, None]] = {}
    for each in certificates:
        key = (key_of(each),) if with_key else ()
        groups.setdefault((issuer_of(each), each.serial_no, *key), {})[each] = None
    return [tuple(group) for group in groups.values() if len(group) > 1]
