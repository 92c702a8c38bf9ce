"""Names of the records that prove names. Pure."""

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
