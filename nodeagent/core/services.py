"""`services.toml`: the node's own list of who uses the files, what reloads each, and which endpoints prove it.

Decides whether the file is usable, and says everything that is wrong with it at once. Leaves to the shell: whether a
program or group exists. Invariant: only this file, on the node, names a program to run; nothing from the network does.

    [files]
    group = "ssl-cert"                # optional: key files become 0640 root:ssl-cert instead of 0600

    [[consumer]]
    name = "nginx"
    uses = ["server"]                 # of server, client, trust; default server
    reload = ["/usr/sbin/nginx", "-s", "reload"]
    timeout_s = 30                    # for the reload command
    verify_timeout_s = 15             # until every endpoint shows the new leaf

    [[consumer.endpoint]]
    host = "127.0.0.1"
    port = 443
    protocol = "https"                # https, tls, sip-tls, turns
    sni = "conf.example.com"          # optional; slot = "server" is the leaf it must show
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeGuard, get_args

from common.bundle.manifest import SLOTS, Slot
from common.errors import InvalidInputError

Use = Literal["server", "client", "trust"]
Protocol = Literal["https", "tls", "sip-tls", "turns"]
"""All begin with a TLS handshake, so that one probe serves them; a protocol that upgrades (STARTTLS) is refused."""

USES: Final[tuple[Use, ...]] = get_args(Use)
PROTOCOLS: Final[tuple[Protocol, ...]] = get_args(Protocol)

FILE_MAX_BYTES: Final = 64 * 1024
CONSUMERS_MAX: Final = 16
ENDPOINTS_MAX: Final = 64
"""Over all consumers: as many as a node's report can carry (`common.wire.messages.Report`)."""

ARGV_MAX: Final = 32
TIMEOUT_MAX_S: Final = 120.0
"""An installation with a rollback takes each timeout twice, and must be over within the hour that a push may take."""

RELOAD_TIMEOUT_S: Final = 30.0
VERIFY_TIMEOUT_S: Final = 15.0

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9_.-]{0,62})")
_HOST = re.compile(r"[A-Za-z0-9.:_%-]{1,253}")
_GROUP = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,31}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A port that shows a slot's leaf. `sni` None: the host is sent if it is a name, nothing if it is an address."""

    host: str
    port: int
    protocol: Protocol
    slot: Slot = "server"
    sni: str | None = None

    @property
    def label(self) -> str:
        """The endpoint's name in reports: host and port, and the SNI where one is given."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}" + (f"/{self.sni}" if self.sni else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Consumer:
    """A service that uses the files."""

    name: str
    uses: tuple[Use, ...]
    reload: tuple[str, ...]
    timeout_s: float
    verify_timeout_s: float
    endpoints: tuple[Endpoint, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """The whole file. `group` None: only the owner reads key files."""

    consumers: tuple[Consumer, ...] = ()
    group: str | None = None


def parse_services(text: str) -> Services:
    """Read the file. Raises InvalidInputError with field `services`, naming every finding with its key."""
    if len(text) > FILE_MAX_BYTES:
        raise InvalidInputError("services", f"the file is larger than {FILE_MAX_BYTES} bytes")
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InvalidInputError("services", f"this is not TOML: {error}") from error
    reader = _Reader()
    services = reader.services(table)
    if reader.findings:
        raise InvalidInputError("services", "; ".join(reader.findings))
    return services


class _Reader:
    """Reads tables into values and collects what is wrong; a value with a finding is replaced by a default."""

    def __init__(self) -> None:
        self.findings: list[str] = []

    def services(self, table: Mapping[str, Any]) -> Services:
        self._known("", table, {"files", "consumer"})
        files = table.get("files", {})
        group = None
        if not isinstance(files, dict):
            self._find("files", files, "must be a table")
        else:
            self._known("files.", files, {"group"})
            group = files.get("group")
            if group is not None and not (isinstance(group, str) and _GROUP.fullmatch(group)):
                self._find("files.group", group, "must be a group's name")
        listed = table.get("consumer", [])
        if not _is_tables(listed):
            self._find("consumer", listed, "must be written as [[consumer]] tables")
            return Services()
        if len(listed) > CONSUMERS_MAX:
            self.findings.append(f"consumer: {len(listed)} are listed; the limit is {CONSUMERS_MAX}")
        consumers = tuple(self._consumer(place, one) for place, one in enumerate(listed, 1))
        self._together(consumers)
        return Services(consumers=consumers, group=group)

    def _together(self, consumers: tuple[Consumer, ...]) -> None:
        names = [one.name for one in consumers if one.name]
        for name in sorted({name for name in names if names.count(name) > 1}):
            self.findings.append(f"consumer: the name '{name}' is used twice")
        count = sum(len(one.endpoints) for one in consumers)
        if count > ENDPOINTS_MAX:
            self.findings.append(f"endpoint: {count} are listed; the limit is {ENDPOINTS_MAX}")

    def _consumer(self, place: int, table: Mapping[str, Any]) -> Consumer:
        name = table.get("name")
        is_named = isinstance(name, str) and _NAME.fullmatch(name) is not None
        at = f"consumer '{name}': " if is_named else f"consumer {place}: "
        if not is_named:
            self._find(f"{at}name", name, "must be 1 to 63 lower-case letters, digits, '.', '_', '-'")
        self._known(at, table, {"name", "uses", "reload", "timeout_s", "verify_timeout_s", "endpoint"})
        uses = self._uses(at, table.get("uses", ["server"]))
        listed = table.get("endpoint", [])
        if not _is_tables(listed):
            self._find(f"{at}endpoint", listed, "must be written as [[consumer.endpoint]] tables")
            listed = []
        return Consumer(
            name=str(name) if is_named else "",
            uses=uses,
            reload=self._argv(at, table.get("reload")),
            timeout_s=self._seconds(f"{at}timeout_s", table.get("timeout_s", RELOAD_TIMEOUT_S)),
            verify_timeout_s=self._seconds(
                f"{at}verify_timeout_s", table.get("verify_timeout_s", VERIFY_TIMEOUT_S)
            ),
            endpoints=tuple(
                self._endpoint(f"{at}endpoint {number}: ", one, uses) for number, one in enumerate(listed, 1)
            ),
        )

    def _uses(self, at: str, value: object) -> tuple[Use, ...]:
        if not isinstance(value, list) or not value or len(set(map(str, value))) != len(value):
            self._find(f"{at}uses", value, f"must list some of {', '.join(USES)}, each once")
            return ("server",)
        for one in value:
            if one not in USES:
                self._find(f"{at}uses", one, f"is none of {', '.join(USES)}")
        return tuple(use for use in USES if use in value)

    def _argv(self, at: str, value: object) -> tuple[str, ...]:
        key = f"{at}reload"
        if not isinstance(value, list) or not value or not all(isinstance(one, str) for one in value):
            self._find(key, value, 'must be a list of words, such as ["/usr/sbin/nginx", "-s", "reload"]')
            return ()
        if len(value) > ARGV_MAX or any(len(one) > 4096 or "\0" in one for one in value):
            self.findings.append(f"{key}: more than {ARGV_MAX} words, or one that is too long or holds a NUL")
        if not value[0].startswith("/"):
            self._find(key, value[0], "must begin with the program's absolute path (no shell is involved)")
        return tuple(value)

    def _seconds(self, key: str, value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= TIMEOUT_MAX_S:
            self._find(key, value, f"must be more than 0 and at most {TIMEOUT_MAX_S:g} seconds")
            return RELOAD_TIMEOUT_S
        return float(value)

    def _endpoint(self, at: str, table: Mapping[str, Any], uses: tuple[Use, ...]) -> Endpoint:
        self._known(at, table, {"host", "port", "protocol", "sni", "slot"})
        host, port = table.get("host"), table.get("port")
        protocol, slot, sni = table.get("protocol"), table.get("slot", "server"), table.get("sni")
        if not isinstance(host, str) or not _HOST.fullmatch(host):
            self._find(f"{at}host", host, "must be a host name or an address")
        if isinstance(port, bool) or not isinstance(port, int) or not 0 < port < 65536:
            self._find(f"{at}port", port, "must be a port, 1 to 65535")
        if protocol not in PROTOCOLS:
            self._find(f"{at}protocol", protocol, f"is none of {', '.join(PROTOCOLS)}")
        if slot not in SLOTS:
            self._find(f"{at}slot", slot, f"is none of {', '.join(SLOTS)}")
        elif slot not in uses:
            self._find(f"{at}slot", slot, "is not among what the consumer uses")
        if sni is not None and not (isinstance(sni, str) and _HOST.fullmatch(sni) and ":" not in sni):
            self._find(f"{at}sni", sni, "must be a host name")
        return Endpoint(
            host=str(host),
            port=port if isinstance(port, int) else 0,
            protocol=protocol if protocol in PROTOCOLS else "tls",
            slot=slot if slot in SLOTS else "server",
            sni=sni,
        )

    def _known(self, at: str, table: Mapping[str, Any], keys: set[str]) -> None:
        for key in sorted(table.keys() - keys):
            self.findings.append(f"{at}{key}: no such key; there are {', '.join(sorted(keys))}")

    def _find(self, key: str, value: object, what: str) -> None:
        shown = "is missing and" if value is None else f"{value!r:.80}"
        self.findings.append(f"{key}: {shown} {what}")


def _is_tables(value: object) -> TypeGuard[list[dict[str, Any]]]:
    return isinstance(value, list) and all(isinstance(one, dict) for one in value)
