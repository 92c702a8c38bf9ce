"""Answers of DNS servers: what they say about a name, and how people are told.

Decides which answers count: only those of servers that are authoritative for the zone. Pure.
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
"""Characters of a text that is found instead of ours, in a message."""

TEXTS_SHOWN_MAX: Final = 3

_DECIDED: Final = frozenset({dns.rcode.NOERROR, dns.rcode.NXDOMAIN})


def shown(name: dns.name.Name) -> str:
    """Return a name for people and commands: in lower case, without the root's dot."""
    return name.to_text(omit_final_dot=True).lower()


def is_authoritative(answer: dns.message.Message) -> bool:
    """Whether the server is authoritative, and the answer is not an error."""
    return bool(answer.flags & dns.flags.AA) and answer.rcode() in _DECIDED


def refusal(answer: dns.message.Message, apex: dns.name.Name) -> str:
    """Describe the answer of a server that is not authoritative for a zone."""
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
    """Return the target if the answer says that the name is an alias, else None."""
    found = answer.get_rrset(answer.answer, name, dns.rdataclass.IN, dns.rdatatype.CNAME)
    return found[0].target if found and isinstance(found[0], NSBase) else None


def texts_in(answer: dns.message.Message, name: dns.name.Name) -> Sequence[str]:
    """Return a name's texts (TXT) in an answer, each with its parts joined."""
    found = answer.get_rrset(answer.answer, name, dns.rdataclass.IN, dns.rdatatype.TXT)
    return [
        b"".join(record.strings).decode("ascii", "backslashreplace")
        for record in found or ()
        if isinstance(record, TXTBase)
    ]


def other_texts(texts: Sequence[str], record: str) -> str:
    """Describe the texts that a server has at a record instead of the expected one."""
    if not texts:
        return f"has no text at {record}"
    named = ", ".join(f"'{printable(text)[:TEXT_SHOWN_MAX_CHARS]}'" for text in texts[:TEXTS_SHOWN_MAX])
    more = f" and {len(texts) - TEXTS_SHOWN_MAX} more" if len(texts) > TEXTS_SHOWN_MAX else ""
    return f"has only other texts at {record}: {named}{more}"
