"""Limits of the nodes' channel: what peers may do before they have logged in and said what for, and how often from then on.

Names each limit and says why it is what it is; `gate`, `guard`, `login` and `logins` hold peers to them.
"""

from dataclasses import dataclass
from typing import Final

WAITING_SHARE: Final = 4
"""Peers at one known address may take one of so many connections of the port to wait; the others are for everybody else."""

RESERVED_SHARE: Final = 4
"""One of so many places of known addresses is left by whichever of them holds most: fleets come back behind several."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What peers may do before they have logged in and said what for.

    Attributes:
        logins: handshakes of strangers at once; more wait for a place.
        logins_per_address: of a stranger's address, at work and waiting each. A fleet may sit behind one NAT.
        known_logins: handshakes of peers at known addresses at once. One takes some seven journeys to the manager and back: where
            these take 100 ms, the places that one address may have are enough for 400 nodes a second.
        waiting: strangers that wait for a place; of peers at one known address `WAITING_SHARE` says how many.
        pace_burst, pace_per_s: new connections from one stranger's address.
        starts_burst, starts_per_s: handshakes of all strangers together that come to nothing; one keeps the loop for about 7 ms.
        known_starts_burst, known_starts_per_s: the same of peers at known addresses. Where nodes come back these are how many are added
            a second to those that are at work at once, until the loop or the places bound them.
        exchanges_burst, exchanges_per_s: key exchanges of one node's connection after its first. Agents want one in an hour or after
            a GB (RFC 4253 9). Who has proven nothing has no more than the first.
        penalty_s: how long a source waits behind others after it had a place and made nothing of it.
        known_burst, known_per_s: new connections from one known address that come to nothing; a whole fleet may come back behind it,
            and as many may wait.
        login_bytes: sent by one peer before it has proven what it came for; a login and a join take about 5 KB.
        version_s: until the peer's version line, which it sends at once (RFC 4253 4.2).
        silence_s, penalty_silence_s: the same while others wait for the place, and for a source that made nothing of its last one.
        login_s: from there until the login.
        dawdling_s: the same while others wait for the place.
        session_s, request_s, answer_s: from the login to a session, from there to a request to join, from there until it is answered.
        attempts: keys that one connection may try.
        refusals: requests that are refused on one connection before it is cut.
        connections_per_key: connections that a node's key may have logged in at once; more end the oldest. An agent has one, and
            a second one while the manager has not noticed that the first is dead.
        connections: all connections of the port, whatever they have proven.
    """

    logins: int = 128
    logins_per_address: int = 32
    waiting: int = 256
    pace_burst: float = 128.0
    pace_per_s: float = 8.0
    starts_burst: float = 4.0
    starts_per_s: float = 20.0
    known_logins: int = 384
    known_starts_burst: float = 16.0
    known_starts_per_s: float = 64.0
    exchanges_burst: float = 3.0
    exchanges_per_s: float = 1 / 60
    penalty_s: float = 60.0
    known_burst: float = 16_384.0
    known_per_s: float = 64.0
    login_bytes: int = 16 * 1024
    version_s: float = 3.0
    silence_s: float = 0.5
    penalty_silence_s: float = 0.1
    login_s: float = 15.0
    dawdling_s: float = 5.0
    session_s: float = 15.0
    request_s: float = 5.0
    answer_s: float = 15.0
    attempts: int = 3
    refusals: int = 8
    connections_per_key: int = 4
    connections: int = 65536
