"""Texts that carry certificates in formats of their own: mail, logs in JSON, SAML metadata.

Pure. Decides what such a text is, and says what to do with it. Invariant: reads only the beginning of long
texts.
"""

import json
import re
from typing import Final

_START_CHARS: Final = 16 * 1024
_HEADER: Final = re.compile(
    r"^(received|return-path|delivered-to|message-id|mime-version|from|to|subject|date|content-type|dkim-signature):[ \t]",
    re.IGNORECASE | re.MULTILINE,
)
"""Fields of RFC 5322 3.6 and RFC 2045 3."""

_MIN_HEADERS: Final = 3
_ENCODED: Final = re.compile(r"^content-transfer-encoding:[ \t]*base64", re.IGNORECASE | re.MULTILINE)
_SAML: Final = re.compile(r"<(?:\w{1,20}:)?X509Certificate[\s>]")
_LOGGED: Final = ("log", "message", "msg")
_BLANK: Final = "\ufeff \t\r\n"


def carrier_of(text: str) -> str | None:
    """Return what a text is and what to do, None if it is none of these."""
    start = text[:_START_CHARS].lstrip(_BLANK)
    if _is_mail(start, text):
        return "this is an email message with its content in base64; save its attachment as a file, and give that"
    if _is_logged(start):
        return "this is a log in JSON, as a container's is; take the text out of each line first ('jq -rj .log' does for Docker), and give that"
    if _SAML.search(text):
        return (
            "this is XML, such as SAML metadata, whose certificates have no marks; put the base64 of each X509Certificate between "
            "'-----BEGIN CERTIFICATE-----' and '-----END CERTIFICATE-----' on lines of their own, and give that"
        )
    return None


def _is_mail(start: str, text: str) -> bool:
    head = start.partition("\n")[0]
    if not (
        _HEADER.match(head) or head.startswith("From ") or re.match(r"[A-Za-z][A-Za-z0-9-]{1,40}: ", head)
    ):
        return False
    fields = {found[1].lower() for found in _HEADER.finditer(start)}
    return len(fields) >= _MIN_HEADERS and _ENCODED.search(text) is not None


def _is_logged(start: str) -> bool:
    if not start.startswith("{"):
        return False
    try:
        found = json.loads(start.partition("\n")[0])
    except (ValueError, RecursionError):
        return False
    return isinstance(found, dict) and any(isinstance(found.get(name), str) for name in _LOGGED)
