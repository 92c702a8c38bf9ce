"""Choice among the chains that a CA has for one certificate (RFC 8555 7.4.2). Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from common.errors import PkiError
from common.pki.certificate import Certificate, decode
from common.pki.pem import CERTIFICATE, read_blocks


@dataclass(frozen=True, slots=True)
class ChosenChain:
    """The chosen chain, unchanged.

    `is_preferred` is False if none ends at the preferred root: it is the CA's default then.
    """

    text: str = field(repr=False)
    is_preferred: bool


def choose_chain(chains: Sequence[str], preferred_root: str) -> ChosenChain:
    """Choose by the Common Name of the chain's root, "" for the CA's default, which is the first.

    Needs at least one.
    """
    if not preferred_root:
        return ChosenChain(chains[0], is_preferred=True)
    for text in chains:
        if ends_at(text) == preferred_root:
            return ChosenChain(text, is_preferred=True)
    return ChosenChain(chains[0], is_preferred=False)


def leaf_of(text: str) -> Certificate | None:
    """Return the leaf of a chain, its first certificate; None if unreadable."""
    blocks = [block for block in read_blocks(text).blocks if block.label == CERTIFICATE]
    try:
        return decode(blocks[0].der) if blocks else None
    except PkiError:
        return None


def ends_at(text: str) -> str:
    """Return the name of a chain's root: the issuer of its last certificate; "" if unreadable."""
    blocks = [block for block in read_blocks(text).blocks if block.label == CERTIFICATE]
    if not blocks:
        return ""
    try:
        return decode(blocks[-1].der).issuer_name
    except PkiError:
        return ""
