"""Keys of external account bindings, as CAs give them to the owners of accounts. Pure."""

import re
from typing import Final

_BASE64URL: Final = re.compile(r"[A-Za-z0-9_-]+={0,2}")


def is_binding_key(text: str) -> bool:
    """Whether a text is what RFC 8555 7.3.4 has a CA give: base64url, with or without padding, of a byte at least."""
    # one digit of base64 is six bits, which make no byte
    return _BASE64URL.fullmatch(text) is not None and len(text.rstrip("=")) % 4 != 1
