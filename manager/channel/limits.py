"""Limits of the nodes' channel: what peers may do before they have stated their purpose, and later rates.

Names each limit and its reason; `gate`, `guard`, `login` and `logins` enforce them.
"""

from dataclasses import dataclass
from typing import Final

WAITING_SHARE: Final = 4
"""Peers at one known address may use one in this many of the port's connections to wait; the rest are for all
others.
"""

RESERVED_SHARE: Final = 4
"""One in this many places at known addresses is freed by the address that holds most: fleets return behind
several.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits of peers that have not logged in and stated their purpose.

    Attributes:
        logins: handshakes of strangers at once; more wait for a place.
        logins_per_address: of one stranger's address, in progress and waiting each. A fleet may be behind one
            NAT.
        known_logins: handshakes of peers at known addresses at once. One takes some seven round trips to the
            manager: at 100 ms each, the places one address may have are enough for 400 nodes a second.
        waiting: strangers that wait for a place; `WAITING_SHARE` bounds the peers at one known address.
        pace_burst, pace_per_s: new connections from one stranger's address.
        starts_burst, starts_per_s: failed handshakes of all strangers together; one takes about 7 ms of the
            loop.
        known_starts_burst, known_starts_per_s: the same for peers at known addresses. When nodes return,
            these bound how many are added a second to those in progress, until the loop or the places bound
            them.
        exchanges_burst, exchanges_per_s: key exchanges on one node's connection after its first. Agents want
            one per hour or GB (RFC 4253 9). An unproven peer has only the first.
        penalty_s: how long a source that wasted a place waits behind others.
        known_burst, known_per_s: failed new connections from one known address; a whole fleet may return
            behind it, and as many may wait.
        login_bytes: sent by one peer before it has proven its purpose; a login and a join take about 5 KB.
        version_s: until the peer's version line, which it sends at once (RFC 4253 4.2).
        silence_s, penalty_silence_s: the same while others wait for the place, and for a source that wasted
            its last one.
        login_s: from there until the login.
        dawdling_s: the same while others wait for the place.
        session_s, request_s, answer_s: from the login to a session, from there to a join request, from there
            until it is answered.
        attempts: keys that one connection may try.
        refusals: refused requests on one connection before it is cut.
        connections_per_key: connections at once that a node's key may have logged in; another one ends the
            oldest. An agent has one, and a second while the manager has not noticed that the first is dead.
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
