"""Whether a change of the trusted CAs is one that an operator should confirm.

Pure. Invariant: renewing a CA (same name, same key) is no loss.
"""

from collections.abc import Iterable
from fractions import Fraction
from typing import Final

from common.pki.certificate import Certificate

LOSS_MAX: Final = Fraction(1, 5)
"""More of the custom CAs than this at once is more often a mistake than a wish; all of them at once always asks."""


def loss(before: Iterable[Certificate], after: Iterable[Certificate]) -> str:
    """Return a sentence if a change drops all or more than a fifth of the custom CAs, "" if it does not."""
    had = {_identity(one): one for one in before}
    kept = {_identity(one) for one in after}
    lost = [one for identity, one in had.items() if identity not in kept]
    if not lost or (len(lost) < len(had) and Fraction(len(lost), len(had)) <= LOSS_MAX):
        return ""
    names = ", ".join(one.subject_name or one.label for one in lost[:5])
    more = f" and {len(lost) - 5} more" if len(lost) > 5 else ""
    return f"this drops {len(lost)} of {len(had)} custom trusted CAs on every node: {names}{more}"


def _identity(certificate: Certificate) -> tuple[bytes, str | None]:
    return certificate.subject_id, certificate.public_key_id or certificate.fingerprint
