"""Answers of DNS servers: what they say of a name, and how people are told.

Decides which answer counts: only that of a server which answers for the zone itself. Pure.
"""

from collections.abc import Sequence
from typing import Final

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype
from dns.rdtypes.nsbase import NSBase
from dns.rdtypes.txtbase import TXTBase

from common.text import printable

TEXT_SHOWN_MAX_CHARS: Final = 60
"""Of a record that is there in place of ours, in a message."""

TEXTS_SHOWN_MAX: Final = 3

_DECIDED: Final = frozenset({dns.rcode.NOERROR, dns.rcode.NXDOMAIN})


def shown(name: dns.name.Name) -> str:
    """Return a name for people, and for commands: in small letters, without the root's dot."""
    return name.to_text(omit_final_dot=True).lower()


def is_authoritative(answer: dns.message.Message) -> bool:
    """Whether a server answers for the zone itself, and says what there is."""
    return bool(answer.flags & dns.flags.AA) and answer.rcode() in _DECIDED


def refusal(answer: dns.message.Message, apex: dns.name.Name) -> str:
    """Say what a server does that does not answer for a zone."""
    code = answer.rcode()
    match code:
        case dns.rcode.NOERROR | dns.rcode.NXDOMAIN:
            return f"does not answer for the zone {shown(apex)} itself, though the zone names it (lame delegation)"
        case dns.rcode.REFUSED | dns.rcode.NOTAUTH:
            return f"refuses to answer for the zone {shown(apex)}, though the zone names it (lame delegation)"
        case dns.rcode.SERVFAIL:
            return f"fails (SERVFAIL): it may have no usable copy of the zone {shown(apex)}"
        case _:
            return f"answers with an error ({dns.rcode.to_text(code)})"


def alias_in(answer: dns.message.Message, name: dns.name.Name) -> dns.name.Name | None:
    """Return what an answer says that a name is an alias of, None if it says nothing of that."""
    found = answer.get_rrset(answer.answer, name, dns.rdataclass.IN, dns.rdatatype.CNAME)
    return found[0].target if found and isinstance(found[0], NSBase) else None


def texts_in(answer: dns.message.Message, name: dns.name.Name) -> Sequence[str]:
    """Return the texts (TXT) that an answer says a name has, the parts of each put together."""
    found = answer.get_rrset(answer.answer, name, dns.rdataclass.IN, dns.rdatatype.TXT)
    return [
        b"".join(record.strings).decode("ascii", "backslashreplace")
        for record in found or ()
        if isinstance(record, TXTBase)
    ]


def other_texts(texts: Sequence[str], record: str) -> str:
    """Say which texts a server has at a record in place of the one that is looked for."""
    if not texts:
        return f"has no text at {record}"
    named = ", ".join(f"'{printable(text)[:TEXT_SHOWN_MAX_CHARS]}'" for text in texts[:TEXTS_SHOWN_MAX])
    more = f" and {len(texts) - TEXTS_SHOWN_MAX} more" if len(texts) > TEXTS_SHOWN_MAX else ""
    return f"has only other texts at {record}: {named}{more}"
