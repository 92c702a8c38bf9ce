"""HTTP-01 challenges (RFC 8555 8.3): a CA's questions over port 80 and their answers.

Decides the form of tokens and answers, and their URL path. Pure. Invariant: a token is a plain file name.
"""

import re
from typing import Final

PATH: Final = "/.well-known/acme-challenge/"
"""The path before the token in a request (RFC 8555 8.3)."""

TOKEN_MAX_CHARS: Final = 128
"""RFC 8555 8.3 wants at least 128 bits as base64url, 22 characters; CAs send 43."""

RESPONSE_MAX_CHARS: Final = 256
"""A token, a dot, and the 43 characters of a SHA-256 (RFC 8555 8.1)."""

CHALLENGES_MAX: Final = 64
"""The limit per node: some orders of a few names each. A message has room for twice such a set with its answers."""

LIFETIME_MAX_S: Final = 7 * 86400.0
"""How long a node shows a challenge unless it is sent again: as long as the best-known CA's authorizations wait."""

TOKEN_PATTERN: Final = rf"^[A-Za-z0-9_-]{{1,{TOKEN_MAX_CHARS}}}\Z"
RESPONSE_PATTERN: Final = rf"^[A-Za-z0-9_.-]{{1,{RESPONSE_MAX_CHARS}}}\Z"

_TOKEN: Final = re.compile(TOKEN_PATTERN)
_RESPONSE: Final = re.compile(RESPONSE_PATTERN)


def is_token(text: str) -> bool:
    """Whether this is a valid challenge token (base64url, RFC 8555 8.3)."""
    return _TOKEN.match(text) is not None


def is_response(text: str) -> bool:
    """Whether this is a valid answer: a key authorization (RFC 8555 8.1)."""
    return _RESPONSE.match(text) is not None
