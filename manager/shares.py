"""Descriptor shares: how many of the process's file descriptors each of its ports may hold.

Decides by the limit alone. Invariant: the shares together stay below the limit, so that whatever comes to one port, the others, the
store and the programs that are started still get theirs.
"""

import resource
from dataclasses import dataclass
from typing import Final

OWN_MAX: Final = 256
"""Kept for the store, workers, files that are read, and programs that are started; 60 were seen at work."""

HTTPS_MAX: Final = 512
"""Connections of browsers and programs; some kept open by each of a hundred people."""

AHEAD_MAX: Final = 1024
"""Accepted connections to the HTTPS port that wait to be admitted; those from known addresses go first."""

STRANGERS_MAX: Final = 256
"""Peers of the nodes' channel that have proven nothing, at work and waiting."""

KNOWN_LOGINS_MAX: Final = 384
"""Peers at addresses of nodes that log in at once; `manager.channel.gate` says why so many."""

WANTED: Final = 65536
"""What is asked of the system: enough for every connection to a fleet of any size that was measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shares:
    """What each part may hold; `channel` counts all connections of the nodes' channel, strangers and logins included."""

    own: int
    https: int
    ahead: int
    strangers: int
    known_logins: int
    channel: int


def share(limit: int) -> Shares:
    """Return who may hold how many of `limit` descriptors."""
    own, https, ahead = min(OWN_MAX, limit // 4), min(HTTPS_MAX, limit // 4), min(AHEAD_MAX, limit // 16)
    return Shares(
        own=own,
        https=https,
        ahead=ahead,
        strangers=min(STRANGERS_MAX, limit // 8),
        known_logins=min(KNOWN_LOGINS_MAX, limit // 8),
        channel=limit - own - https - ahead,
    )


def raise_descriptor_limit() -> int:
    """Raise the process's own limit as far as the system lets it, at most to `WANTED`, and return it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = WANTED if hard == resource.RLIM_INFINITY else min(hard, WANTED)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return WANTED if soft == resource.RLIM_INFINITY else soft
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted
