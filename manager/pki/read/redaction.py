"""Redaction: what of a text may be stored or shown again, and never what may be a private key.

Decides by what a block holds, not by what it is called, and keeps only blocks that are known to be harmless.
Invariant: whatever else is true of a text, no line of a private key that is in it comes out.
"""

import re

from common.pki.pem import Block, pem_of, read_blocks
from manager.pki.read.binary import is_public
from manager.pki.read.codes import may_hold_key

_SECRET = re.compile(r"private[\W_]*(?:key|exponent)|[A-Za-z0-9+/]{41}", re.IGNORECASE)
"""A mention of a private key, or a word that may be base64 of one: longer than a SHA-1 digest in hexadecimal."""


def without_private_keys(text: str) -> str:
    """Return what may be stored of a text: all of it, verbatim, if nothing in it can be a private key.

    Otherwise only its whole blocks, each verbatim, less those of keys: a key may be wrapped in broken marks, or have none,
    so what cannot be told from one goes with it. Comments are what that costs. A block in a table or a log is kept in
    canonical form, as a key may stand beside it.
    """
    kept: list[str] = []
    rest: list[str] = []
    public: list[bytes] = []
    start, line_end = 0, "\r\n" if "\r\n" in text else "\n"
    for block in read_blocks(text).blocks:
        if not _may_be_kept(block):
            continue
        rest.append(text[start : block.start])
        public.append(block.der)
        if block.plain:
            kept.append(text[block.start : block.end])
        else:
            rest.append(text[block.start : block.end])
            kept.append(pem_of(block.der, label=block.label).rstrip("\n").replace("\n", line_end))
        start = block.end
    rest.append(text[start:])
    around = "\n".join(rest)
    if not (_SECRET.search(around) or may_hold_key(around, public)):
        return text
    return "".join(block + line_end for block in kept)


def _may_be_kept(block: Block) -> bool:
    # headers are not base64, so anything could stand in them
    return "PRIVATE" not in block.label and not block.headers and is_public(block.der)
