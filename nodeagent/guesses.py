"""Guesses at commands of `certcast-nodeagent` that it does not have.

Decides what somebody is told to type instead. Pure. Invariant: a guess is never run as something else.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

_TYPED: Final = re.compile(r"invalid choice: '(\w+)'")
"""As argparse quotes what was typed in a command's place."""

_BY_SYSTEMD: Final = "; systemd does this: 'systemctl {} certcast-nodeagent'"
_INSTEAD: Final[Mapping[str, str]] = MappingProxyType(
    {
        **{
            verb: _BY_SYSTEMD.format(verb)
            for verb in ("start", "stop", "restart", "reload", "enable", "disable")
        },
        **dict.fromkeys(("logs", "log", "journal"), "; type 'journalctl -u certcast-nodeagent'"),
        **dict.fromkeys(
            ("leave", "remove", "delete", "unjoin"), "; on the manager, 'certcast node remove NAME' does this"
        ),
        **dict.fromkeys(("enrol", "enroll", "register", "connect"), "; type 'certcast-nodeagent join TOKEN'"),
        **dict.fromkeys(("push", "sync"), "; the manager pushes: there, type 'certcast push NAME'"),
    }
)


def hint_for(message: str) -> str:
    """Return what completes a usage error, "" if it is about nothing that is known."""
    typed = _TYPED.search(message)
    return _INSTEAD.get(typed[1], "") if typed else ""
