"""Built-in trusted CAs: the Mozilla list as certifi ships it, which no user can change.

Decides nothing. Invariant: an unreadable certificate is skipped, and costs no other.
"""

from pathlib import Path

import certifi

from common.errors import PkiError
from common.pki.certificate import Certificate, decode
from common.pki.pem import read_blocks


def load_builtin() -> tuple[Certificate, ...]:
    """Read the list (about 120 roots, 15 ms); call it off the loop."""
    found = []
    for block in read_blocks(Path(certifi.where()).read_text(encoding="utf-8")).blocks:
        try:
            found.append(decode(block.der))
        except PkiError:
            # a later cryptography refuses some roots (serial numbers <= 0); the others must stay trusted
            continue
    return tuple(found)
