"""Words for what the operating system or OpenSSL said of a connection that failed.

Libraries put values of their own into an error's text: asyncio the address, as a tuple of Python, and OpenSSL a line of its source.
Invariant: no sentence from here is empty, and none has such values in it.
"""

import os
import ssl
from typing import Final

NONE_ANSWERS: Final = "none of its addresses answers"
"""What is said where a name has several addresses, whose errors asyncio makes one without a number."""


def words_of(error: OSError) -> str:
    """Say what happened, without the address, which whoever asks knows better."""
    if isinstance(error, ssl.SSLError):
        found = (getattr(error, "reason", None) or "").lower().replace("_", " ")
        return f"TLS failed: {found}" if found else "TLS failed"
    # a failed name look-up has negative codes
    if error.errno is not None and error.errno > 0:
        return os.strerror(error.errno)
    return error.strerror or NONE_ANSWERS
