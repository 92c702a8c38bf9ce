"""The built-in trusted CAs: the Mozilla list as certifi ships it, which nobody can change.

Decides nothing. Invariant: one certificate that cannot be read costs only itself.
"""

import warnings
from pathlib import Path

import certifi
from cryptography.utils import CryptographyDeprecationWarning

from common.errors import PkiError
from common.pki.certificate import Certificate, decode
from common.pki.pem import read_blocks


def load_builtin() -> tuple[Certificate, ...]:
    """Read the list (about 120 roots, 15 ms); call it off the loop."""
    with warnings.catch_warnings():
        # some roots have serial numbers that RFC 5280 forbids, and the library says so each time
        warnings.simplefilter("ignore", CryptographyDeprecationWarning)
        return _decode_each()


def _decode_each() -> tuple[Certificate, ...]:
    found = []
    for block in read_blocks(Path(certifi.where()).read_text(encoding="utf-8")).blocks:
        try:
            found.append(decode(block.der))
        except PkiError:
            # a later cryptography refuses some roots (serial numbers <= 0); the others must stay trusted
            continue
    return tuple(found)
