"""Limits on connections to the HTTPS endpoint: how many, from where, at what pace, and with which deadlines."""

from collections.abc import Callable
from dataclasses import dataclass

from common.source import source_of


@dataclass(frozen=True, slots=True, kw_only=True)
class SeatLimits:
    """The limits of connections.

    Attributes:
        total: connections at once.
        ahead: connections that have been accepted and wait to be let in.
        per_source: of these, from one address; a proxy or an office is one.
        pace_burst, pace_per_s: new connections from one address on which no user authenticates;
            `manager.http.handshakes` decides when their handshakes begin.
        handshake_s: from the accept until a handshake begins, and from there until TLS is established.
        request_s: from there until the first request's headers are complete.
        idle_s: from the end of an answer until the next request's headers are complete.
        shutdown_s: for the peer to confirm the end of TLS.
        is_proxy: whether an address is a trusted proxy's. Its pace is that of all clients behind it, and is
            not bounded here.
        is_known: whether nodes, or recently authenticated users, come from a source. Handshakes from there
            never wait for a stranger's, and a stranger gives up a place for them.
        grace_s: how long a new connection keeps its place in any case, except against `MANY_MORE`.
    """

    total: int = 512
    ahead: int = 1024
    per_source: int = 256
    pace_burst: float = 256.0
    pace_per_s: float = 60.0
    handshake_s: float = 10.0
    request_s: float = 10.0
    idle_s: float = 30.0
    shutdown_s: float = 2.0
    grace_s: float = 1.0
    is_proxy: Callable[[str], bool]
    is_known: Callable[[str], bool]

    def waits_for_no_stranger(self, address: str) -> bool:
        """Whether a connection from an address is let in, and shakes hands, before strangers' that were opened earlier."""
        return self.is_proxy(address) or self.is_known(source_of(address))
