"""Descriptor shares: how many of the process's file descriptors each of its ports may hold.

The limit alone decides. Invariant: the shares add up to less than the limit, so that load on one port leaves
enough for the others, the store and child processes.
"""

import resource
from dataclasses import dataclass
from typing import Final

OWN_MAX: Final = 256
"""Reserved for the store, workers, files and child processes; 60 were seen in use."""

HTTPS_MAX: Final = 512
"""Connections of browsers and programs: a hundred people with a few each."""

AHEAD_MAX: Final = 1024
"""Accepted connections to the HTTPS port that wait to be admitted; those from known addresses go first."""

STRANGERS_MAX: Final = 256
"""Unproven peers of the nodes' channel, in progress and waiting."""

KNOWN_LOGINS_MAX: Final = 384
"""Peers at known nodes' addresses that log in at once; `manager.channel.gate` explains the number."""

WANTED: Final = 65536
"""The limit requested from the system: enough for all connections of the largest fleet measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shares:
    """The share of each part; `channel` counts all connections of the nodes' channel, even unproven ones."""

    own: int
    https: int
    ahead: int
    strangers: int
    known_logins: int
    channel: int


def share(limit: int) -> Shares:
    """Return the shares of `limit` descriptors."""
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
    """Raise the process's limit as far as the system allows, up to `WANTED`, and return it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = WANTED if hard == resource.RLIM_INFINITY else min(hard, WANTED)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return WANTED if soft == resource.RLIM_INFINITY else soft
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted
