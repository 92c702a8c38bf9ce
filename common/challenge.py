"""Challenges of the kind HTTP-01 (RFC 8555 8.3): what a name may be asked for over port 80, and what is answered.

Decides which tokens and answers there can be, and where they are asked for. Pure. Invariant: a token is a file's name and nothing else.
"""

import re
from typing import Final

PATH: Final = "/.well-known/acme-challenge/"
"""What stands before the token in a request (RFC 8555 8.3)."""

TOKEN_MAX_CHARS: Final = 128
"""RFC 8555 8.3 wants at least 128 bits as base64url, 22 characters; CAs send 43."""

RESPONSE_MAX_CHARS: Final = 256
"""A token, a dot, and the 43 characters of a SHA-256 (RFC 8555 8.1)."""

CHALLENGES_MAX: Final = 64
"""At once on one node: some orders of a few names each; with its answers a set fits into one message twice."""

LIFETIME_MAX_S: Final = 7 * 86400.0
"""How long a node shows one at most, unless it is told again: as long as an authorization waits at the best-known CA."""

TOKEN_PATTERN: Final = rf"^[A-Za-z0-9_-]{{1,{TOKEN_MAX_CHARS}}}\Z"
RESPONSE_PATTERN: Final = rf"^[A-Za-z0-9_.-]{{1,{RESPONSE_MAX_CHARS}}}\Z"

_TOKEN: Final = re.compile(TOKEN_PATTERN)
_RESPONSE: Final = re.compile(RESPONSE_PATTERN)


def is_token(text: str) -> bool:
    """Whether a CA may call a challenge so (base64url, RFC 8555 8.3)."""
    return _TOKEN.match(text) is not None


def is_response(text: str) -> bool:
    """Whether this can be answered: a key authorization (RFC 8555 8.1)."""
    return _RESPONSE.match(text) is not None
