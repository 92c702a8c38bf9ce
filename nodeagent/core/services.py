"""The node's services: the files each one uses, its reload command and times, and the endpoints that prove it.

Decides the properties of a service and their limits. `nodeagent.core.servicesfile` reads them from
`services.toml`. Invariant: only that file, on the node, names programs to run or paths to write; nothing from
the network does.
"""

import re
from dataclasses import dataclass
from typing import Final, Literal, get_args

from common.bundle.manifest import Slot
from common.bundle.parts import Part, part_of

Use = Literal["server", "client", "trust"]
Protocol = Literal["https", "tls", "sip-tls", "turns", "smtp", "ldap", "xmpp"]
"""The first four begin with a TLS handshake; the others upgrade to it (STARTTLS)."""

Impact = Literal["none", "new_connections", "drops_calls"]
"""The impact of a reload on people: none; new connections are refused for a moment; calls are dropped."""

USES: Final[tuple[Use, ...]] = get_args(Use)
PROTOCOLS: Final[tuple[Protocol, ...]] = get_args(Protocol)
IMPACTS: Final[tuple[Impact, ...]] = get_args(Impact)

CONSUMERS_MAX: Final = 16
ENDPOINTS_MAX: Final = 64
"""For all consumers together: as many as a node's report can carry (`common.wire.messages.Report`)."""

COPIES_MAX: Final = 32
"""For all consumers together."""

TIMEOUT_MAX_S: Final = 120.0
"""An installation with a rollback may take each timeout twice, and must end within a push's limit of an hour."""

RELOAD_TIMEOUT_S: Final = 30.0
VERIFY_TIMEOUT_S: Final = 15.0

INTERVAL_MAX_S: Final = 86_400.0
INTERVAL_S: Final[dict[Impact, float]] = {"none": 0.0, "new_connections": 60.0, "drops_calls": 3600.0}
"""The default time between two reloads of a consumer."""

URGENT_HOURS: Final = 24.0
URGENT_HOURS_MAX: Final = 24.0 * 90


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A port that shows a slot's leaf. `sni` None: the host is sent if it is a name, nothing if it is an address.

    `chain` False: the service cannot send the installed chain, so only the leaf is compared.
    """

    host: str
    port: int
    protocol: Protocol
    slot: Slot = "server"
    sni: str | None = None
    chain: bool = True

    @property
    def label(self) -> str:
        """The endpoint's name in reports: host and port, and the SNI where one is given."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}" + (f"/{self.sni}" if self.sni else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """A copy of one of the files, for a service that cannot read the tree. `path` as in the manifest."""

    path: str
    to: str
    uid: int
    gid: int
    mode: int

    @property
    def part(self) -> Part:
        """The part of the bundle that its file belongs to."""
        return part_of(self.path)


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A span of the local day, in minutes since midnight; it may cross midnight."""

    start: int
    end: int

    def is_open(self, minute: int) -> bool:
        """Whether it is open at this minute of the day."""
        if self.start < self.end:
            return self.start <= minute < self.end
        return minute >= self.start or minute < self.end

    def __str__(self) -> str:
        return "-".join(f"{one // 60:02d}:{one % 60:02d}" for one in (self.start, self.end))


_WINDOW: Final = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")


def parse_window(text: str) -> Window | None:
    """Read a window such as `02:00-04:00`; None if it is malformed or empty."""
    found = _WINDOW.fullmatch(text)
    if found is None or text[:5] == text[6:]:
        return None
    start_h, start_m, end_h, end_m = map(int, found.groups())
    return Window(start=start_h * 60 + start_m, end=end_h * 60 + end_m)


@dataclass(frozen=True, slots=True, kw_only=True)
class Consumer:
    """A service that uses the files. `window` None: it may be reloaded at any time.

    Window and interval no longer hold a reload back less than `urgent_s` before a served certificate expires.
    `unit` is the systemd unit whose state tells whether the service runs, and whose journal explains failures.
    The agent runs `start` instead of `reload` if the service does not run and nobody stopped it; if `start` is
    empty, others start the service.
    """

    name: str
    uses: tuple[Use, ...]
    reload: tuple[str, ...]
    timeout_s: float
    verify_timeout_s: float
    endpoints: tuple[Endpoint, ...]
    impact: Impact = "none"
    min_interval_s: float = 0.0
    window: Window | None = None
    urgent_s: float = URGENT_HOURS * 3600
    unit: str | None = None
    start: tuple[str, ...] = ()
    copies: tuple[Copy, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ChallengePlace:
    """How a CA's question over port 80 is answered: by a web server from files, or by this agent.

    Exactly one of the two is None.
    """

    directory: str | None = None
    listen: tuple[str, int] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """The whole file. `secret_gid` None: only the owner reads key files. `challenges` None: answers no CA."""

    consumers: tuple[Consumer, ...] = ()
    secret_gid: int | None = None
    challenges: ChallengePlace | None = None
