"""Names of the records that prove names. Pure."""

import re
from typing import Final

from common.pki.faults import wrong_with
from common.text import printable
from manager.usecases.renewal.ports import CaError

CHALLENGE: Final = "_acme-challenge"
"""Prefix of a name for DNS-01 (RFC 8555 8.4)."""

PERSISTENT: Final = "_validation-persist"
"""Prefix of a name for DNS-PERSIST-01 (draft-ietf-acme-dns-persist 4)."""

NAME_MAX: Final = 253
"""Characters of a whole name, without the root's dot (RFC 1035 2.3.4: 255 with each label's length)."""

SHOWN_MAX_CHARS: Final = 100
"""Characters of a refused name, in a message."""

WILDCARD: Final = "*."

_PLAIN: Final = re.compile(r"_?[a-z0-9]([a-z0-9_-]*[a-z0-9])?(\._?[a-z0-9]([a-z0-9_-]*[a-z0-9])?)*")


def record_name(name: str, label: str) -> str:
    """Return the name of the record that proves a name; for a wildcard, that of the name after "*.".

    Raises CaError.
    """
    wrong = wrong_with(name)
    found = f"{label}.{name.removeprefix(WILDCARD)}".lower()
    if not wrong and len(found) > NAME_MAX:
        wrong = f"is too long: with {label} before it, it has more than {NAME_MAX} characters"
    if wrong:
        raise CaError(
            f"'{printable(name)[:SHOWN_MAX_CHARS]}' cannot be proven by DNS: it {wrong}", is_final=True
        )
    return found


def check_changeable(record: str) -> None:
    """Refuse to change a record unless its name, in lower case, is of the form of hosts' and services' names.

    An alias's owner chooses this name: a command must not take it for an option, nor may a label have a dot
    in it. Raises CaError.
    """
    if _PLAIN.fullmatch(record) is None:
        raise CaError(
            f"the record '{printable(record)[:SHOWN_MAX_CHARS]}' is not changed: its labels are not made of letters, digits, '-' and '_'",
            is_final=True,
        )
