"""Codes in text: how much of it could be a private key, however it is written.

Decides by the characters of a line, so that base64 in short lines, hexadecimal with colons, a dump, a C array
and a JWK are all treated alike. Content that is public elsewhere, such as the modulus in `openssl x509
-text`, is not a secret. Invariant: time is linear in the text for each of the few passes, and a doubtful word
counts as a code.
"""

import hashlib
import re
import unicodedata
from collections.abc import Iterator, Sequence
from typing import Final

MIN_KEY_BITS: Final = 220
"""The smallest usable key has 256 (P-256), and some of any code looks like words; a SHA-1 digest has 160."""

MAX_CHARS: Final = 256 * 1024
"""Comments beside the longest lists of CAs (Mozilla's with fingerprints: 60 KB); it keeps this well below a
second."""

_PART_CHARS: Final = 400
_HEX_BITS, _BASE64_BITS = 4, 6
_LONG_CHARS: Final = 16

_INVISIBLE: Final = re.compile("[\u00ad\u200b-\u200f\u2060\ufeff]")
_HEX_LIST: Final = re.compile(
    r"(?<![0-9A-Za-z])[0-9A-Fa-f]{2}(?:(?::\s{0,80}|\s{1,80})[0-9A-Fa-f]{2}){7,}(?![0-9A-Za-z])"
)
_HEX_WORD: Final = re.compile(r"(?<![0-9A-Za-z])(?:0x)?([0-9A-Fa-f]{8,})(?![0-9A-Za-z])")
_DECIMAL: Final = re.compile(r"(?<![0-9A-Za-z.])[0-9]{10,50}(?![0-9A-Za-z.])")
_HARMLESS: Final = re.compile(
    r"(?<![\w:.-])(?:"
    r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?Z?)?|\d{1,2}:\d\d:\d\d(?:\.\d{1,9})?"
    r"|[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}"
    r"|\d{1,10}(?:\.\d{1,10}){2,}"
    r"|[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63}){0,9}\.[a-z]{2,24}"
    r")(?![\w:-])"
)
"""Moments, UUIDs, object identifiers and addresses, host names."""

_KEY_ID: Final = re.compile(r"localKeyID:(?: [0-9A-Fa-f]{2}){1,20}[ \t]*$", re.MULTILINE)
"""As `openssl pkcs12` prints it: a digest, or the moment at which Java made the entry."""

_TOKEN: Final = re.compile(r"[^\s\"'()\[\]{}<>,;:|=*#!?]+")
_PIECE: Final = re.compile(r"[A-Za-z]+|[0-9]+")
_WORD: Final = re.compile(r"[A-Z]?[a-z]{2,}|[A-Z]{2,12}|[aAI]")
_WORDS: Final = re.compile(
    r"[A-Z]?[a-z]{2,}(?:[A-Z][a-z]{2,})*|[A-Z]{3,8}|[A-Z][a-z]{2,}(?:[A-Z]{2,6}[a-z]{0,20})?"
)
_HEX: Final = re.compile(r"[0-9A-Fa-f]+")
_MIXED: Final = re.compile(r"(?=[^A-Za-z]*[A-Za-z])[^0-9]*[0-9]")


def may_hold_key(text: str, public: Sequence[bytes]) -> bool:
    """Whether a text may hold a private key; content of the `public` DER does not count."""
    if len(text) > MAX_CHARS:
        return True
    if not text.isascii():
        text = _INVISIBLE.sub("", unicodedata.normalize("NFKC", text))
    text = _HARMLESS.sub(" ", _without_public(_KEY_ID.sub(" ", text), public))
    bits = 0
    for line in text.splitlines():
        for start in range(0, len(line), _PART_CHARS):
            bits += _bits(line[start : start + _PART_CHARS])
            if bits >= MIN_KEY_BITS:
                return True
    return False


def _without_public(text: str, public: Sequence[bytes]) -> str:
    """Remove the numbers of public content.

    Its modulus, point, signature, serial number, key ids and digests.

    Other lists of hexadecimal pairs become one word each.
    """
    digests = (
        digest(each).digest() for each in public for digest in (hashlib.sha256, hashlib.sha1, hashlib.md5)
    )
    known = b"\x00".join((*public, *digests))

    def hexadecimal(found: re.Match[str]) -> str:
        digits = "".join(one for one in found[0].removeprefix("0x") if one.isalnum())
        return " " if bytes.fromhex("0" * (len(digits) % 2) + digits) in known else f" {digits} "

    def decimal(found: re.Match[str]) -> str:
        number, digits = int(found[0]), found[0].encode()
        there = digits in known or number.to_bytes((number.bit_length() + 7) // 8, "big") in known
        return " " if there else found[0]

    return _DECIMAL.sub(decimal, _HEX_WORD.sub(hexadecimal, _HEX_LIST.sub(hexadecimal, text)))


def _bits(line: str) -> int:
    """Return how many bits of a key a line may hold.

    Those of its long codes, or all if most of the line is not words.
    """
    size = code = bits = long = 0
    for token, pieces in _tokens(line):
        odd = sum(map(len, pieces))
        each = _HEX_BITS if _HEX.fullmatch("".join(pieces)) else _BASE64_BITS
        size, code, bits = size + len(token), code + odd, bits + odd * each
        if len(token) >= _LONG_CHARS and odd * 2 > len(token) and _MIXED.search(token):
            long += len(token) * each
    return max(bits if code * 2 >= size else 0, long)


def _tokens(line: str) -> Iterator[tuple[str, list[str]]]:
    """Yield each word of a line with those pieces of it that are not words."""
    for found in _TOKEN.finditer(line):
        token = found[0]
        if _WORD.fullmatch(token.strip(".")) or not any(one.isalnum() for one in token):
            yield token, []
        elif _HEX.fullmatch(token):
            yield token, [token]
        elif token.isascii():
            pieces = [piece[0] for piece in _PIECE.finditer(token)]
            yield token, [one for one in pieces if not _WORDS.fullmatch(one)]
        else:
            yield token, [] if token.strip(".").isalpha() else [token]
