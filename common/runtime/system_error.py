"""Words for a failed connection, from the error of the operating system or OpenSSL.

Libraries add internal values to an error's text: asyncio the address as a Python tuple, OpenSSL a line of its
source. Invariant: no sentence from here is empty or contains such values.
"""

import os
import ssl
from typing import Final

NONE_ANSWERS: Final = "none of its addresses answers"
"""The text for a name with several addresses: asyncio merges their errors into one without a number."""


def words_of(error: OSError) -> str:
    """Describe the error without the address, which the caller knows."""
    if isinstance(error, ssl.SSLError):
        found = (getattr(error, "reason", None) or "").lower().replace("_", " ")
        return f"TLS failed: {found}" if found else "TLS failed"
    # a failed name look-up has negative codes
    if error.errno is not None and error.errno > 0:
        return os.strerror(error.errno)
    return error.strerror or NONE_ANSWERS
