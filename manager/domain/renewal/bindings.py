"""Keys of external account bindings, as CAs issue them. Pure."""

import re
from typing import Final

_BASE64URL: Final = re.compile(r"[A-Za-z0-9_-]+={0,2}")


def is_binding_key(text: str) -> bool:
    """Whether a text is a key as in RFC 8555 7.3.4: base64url of at least one byte, with or without padding."""
    # a single digit of base64 is six bits, less than a byte
    return _BASE64URL.fullmatch(text) is not None and len(text.rstrip("=")) % 4 != 1
