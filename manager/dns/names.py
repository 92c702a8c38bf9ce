"""Names of the records that prove names. Pure."""

import re
from typing import Final

from common.pki.faults import wrong_with
from common.text import printable
from manager.usecases.renewal.ports import CaError

CHALLENGE: Final = "_acme-challenge"
"""Before a name, for DNS-01 (RFC 8555 8.4)."""

PERSISTENT: Final = "_validation-persist"
"""Before a name, for DNS-PERSIST-01 (draft-ietf-acme-dns-persist 4)."""

NAME_MAX: Final = 253
"""Of a whole name as text, without the root's dot (RFC 1035 2.3.4: 255 with each label's length)."""

SHOWN_MAX_CHARS: Final = 100
"""Of a name that is not taken, in a message."""

WILDCARD: Final = "*."

_PLAIN: Final = re.compile(r"_?[a-z0-9]([a-z0-9_-]*[a-z0-9])?(\._?[a-z0-9]([a-z0-9_-]*[a-z0-9])?)*")


def record_name(name: str, label: str) -> str:
    """Return where the record stands that proves a name; a wildcard's is that of the name below which it stands. Raises CaError."""
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
    """Refuse to change a record, in small letters, whose name is none of hosts or services.

    Whoever has the zone of an alias chooses this name: it must not say to a command what a command's option says, nor have a dot within a label.
    Raises CaError.
    """
    if _PLAIN.fullmatch(record) is None:
        raise CaError(
            f"the record '{printable(record)[:SHOWN_MAX_CHARS]}' is not changed: its labels are not made of letters, digits, '-' and '_'",
            is_final=True,
        )
