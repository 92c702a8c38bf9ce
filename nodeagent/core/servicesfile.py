"""`services.toml`: the node's own list of its services.

Decides which values are valid. Leaves reporting invalid ones to `mistakes`, and to the shell which accounts and
programs exist.

    [files]
    group = "ssl-cert"                # optional: key files become 0640 root:ssl-cert instead of 0600

    [challenges]                      # optional: answers CAs that ask over port 80 whether a name leads here (HTTP-01)
    directory = "/var/lib/certcast/challenges"
                                      # for a web server that serves it as /.well-known/acme-challenge/; or, where none has port 80:
    # listen = "0.0.0.0:80"           # the agent answers there itself

    [[consumer]]
    name = "nginx"
    uses = ["server"]                 # of server, client, trust; default server
    reload = ["/usr/sbin/nginx", "-s", "reload"]
    timeout_s = 30                    # for the reload command
    verify_timeout_s = 15             # until every endpoint shows what was installed
    impact = "none"                   # of the reload: none, new_connections, drops_calls
    min_interval_s = 0                # between two reloads; by default 0, 60 or 3600, as the impact is
    window = "02:00-04:00"            # local time in which a reload may happen, or "any"; drops_calls needs one
    urgent_hours = 24                 # so long before a served certificate expires, window and interval yield
    unit = "nginx.service"            # optional: says whether the service runs; its journal is sent when a reload fails
    start = ["/usr/bin/systemctl", "start", "nginx.service"]
                                      # optional: run while it does not run and nobody stopped it, as on the first day

    [[consumer.endpoint]]
    host = "127.0.0.1"
    port = 443
    protocol = "https"                # https, tls, sip-tls, turns; with STARTTLS: smtp, ldap, xmpp
    sni = "conf.example.com"          # optional; slot = "server" is the leaf it must show
    chain = true                      # false: the service cannot send the installed chain; only its leaf counts

    [[consumer.copy]]                 # optional: for a service that cannot read DIR/current
    file = "server/combined.pem"
    to = "/etc/turn/certcast.pem"     # the directory must exist
    owner = "turnserver"
    group = "turnserver"
    mode = "0400"
"""

import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any, Final

from common.bundle.manifest import PATHS, SECRET_FILES, SLOTS
from common.errors import InvalidInputError
from nodeagent.core.challengestable import read_challenges
from nodeagent.core.file_lines import Section
from nodeagent.core.mistakes import Mistakes
from nodeagent.core.paths import PATH_MAX, is_plain_path
from nodeagent.core.services import (
    CONSUMERS_MAX,
    COPIES_MAX,
    ENDPOINTS_MAX,
    IMPACTS,
    INTERVAL_MAX_S,
    INTERVAL_S,
    PROTOCOLS,
    RELOAD_TIMEOUT_S,
    TIMEOUT_MAX_S,
    URGENT_HOURS,
    URGENT_HOURS_MAX,
    USES,
    VERIFY_TIMEOUT_S,
    Consumer,
    Copy,
    Endpoint,
    Impact,
    Services,
    Use,
    Window,
    parse_window,
)

FILE_MAX_BYTES: Final = 64 * 1024
ARGV_MAX: Final = 32

CONSUMER_KEYS: Final = frozenset(
    {"name", "uses", "reload", "timeout_s", "verify_timeout_s", "endpoint", "copy"}
    | {"impact", "min_interval_s", "window", "urgent_hours", "unit", "start"}
)
ENDPOINT_KEYS: Final = frozenset({"host", "port", "protocol", "sni", "slot", "chain"})
COPY_KEYS: Final = frozenset({"file", "to", "owner", "group", "mode"})

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9_.-]{0,62})")
_HOST = re.compile(r"[A-Za-z0-9.:_%-]{1,253}")
_ACCOUNT = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,31}")
_UNIT = re.compile(r"[A-Za-z0-9][A-Za-z0-9:_.@\\-]{0,127}\.(?:service|target)")
_MODE = re.compile(r"0[0-7]{3}")


@dataclass(frozen=True, slots=True)
class UserDatabase:
    """Finds an account's number by its name, None if it does not exist."""

    uid: Callable[[str], int | None]
    gid: Callable[[str], int | None]


class ServicesError(InvalidInputError):
    """The file cannot be used; each of its `mistakes` names place and cause."""

    def __init__(self, mistakes: Sequence[str]) -> None:
        super().__init__("services", "; ".join(mistakes))
        self.mistakes = tuple(mistakes)


def parse_services(text: str, accounts: UserDatabase) -> Services:
    """Read the file. Raises ServicesError with every mistake: its line, key and, if one is close, the right word."""
    reader = _Reader(accounts, text)
    services = reader.services(_table(text))
    if reader.mistakes.found:
        raise ServicesError(reader.mistakes.found)
    return services


def salvage_services(text: str, accounts: UserDatabase) -> tuple[Services, tuple[str, ...]]:
    """Read a file that was once valid. Return the consumers that still are, and the mistakes in the others.

    Raises ServicesError if it is not TOML.
    """
    reader = _Reader(accounts, text)
    services = reader.services(_table(text))
    return replace(services, consumers=tuple(reader.sound)), tuple(reader.mistakes.found)


def _table(text: str) -> dict[str, Any]:
    if len(text) > FILE_MAX_BYTES:
        raise ServicesError([f"the file is larger than {FILE_MAX_BYTES} bytes"])
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ServicesError([f"this is not TOML: {error}"]) from error
    except RecursionError as error:
        raise ServicesError(["this is nested too deeply for a services file"]) from error


class _Reader:
    """Reads tables into values. Replaces a value with a mistake by its default."""

    def __init__(self, accounts: UserDatabase, text: str) -> None:
        self.mistakes = Mistakes(text)
        self.mistakes.enter("files.", ("files",))
        self.sound: list[Consumer] = []
        self._accounts = accounts

    def services(self, table: Mapping[str, Any]) -> Services:
        self.mistakes.check_keys("", table, {"files", "challenges", "consumer"})
        files = table.get("files", {})
        secret_gid = None
        if not isinstance(files, dict):
            self.mistakes.reject("files", files, "must be a table")
        else:
            self.mistakes.check_keys("files.", files, {"group"})
            if "group" in files:
                secret_gid = self._account("files.group", files["group"], "group", self._accounts.gid)
        consumers: list[Consumer] = []
        for place, one in enumerate(self.mistakes.tables("", table, "consumer", "[[consumer]]"), 1):
            before = len(self.mistakes.found)
            consumers.append(self._consumer(place, one))
            if len(self.mistakes.found) == before:
                self.sound.append(consumers[-1])
        self._check_together(consumers)
        challenges = read_challenges(table, self.mistakes)
        return Services(consumers=tuple(consumers), secret_gid=secret_gid, challenges=challenges)

    def _check_together(self, consumers: Sequence[Consumer]) -> None:
        names = [one.name for one in consumers if one.name]
        places = [copy.to for one in consumers for copy in one.copies if copy.to]
        for what, given in (("consumer: the name", names), ("copy: the path", places)):
            for twice in sorted({one for one in given if given.count(one) > 1}):
                self.mistakes.found.append(f"{what} '{twice}' is used twice")
        for what, count, limit in (
            ("consumer", len(consumers), CONSUMERS_MAX),
            ("endpoint", sum(len(one.endpoints) for one in consumers), ENDPOINTS_MAX),
            ("copy", sum(len(one.copies) for one in consumers), COPIES_MAX),
        ):
            if count > limit:
                self.mistakes.found.append(f"{what}: {count} are listed; the limit is {limit}")

    def _consumer(self, place: int, table: Mapping[str, Any]) -> Consumer:
        name = table.get("name")
        is_named = isinstance(name, str) and _NAME.fullmatch(name) is not None
        at = f"consumer '{name}': " if is_named else f"consumer {place}: "
        section: Section = ("consumer", place)
        self.mistakes.enter(at, section)
        if not is_named:
            self.mistakes.reject(
                f"{at}name", name, "must be 1 to 63 lower-case letters, digits, '.', '_', '-'"
            )
        self.mistakes.check_keys(at, table, CONSUMER_KEYS)
        uses = self._uses(at, table.get("uses", ["server"]))
        impact = self._impact(at, table.get("impact", "none"))
        unit = table.get("unit")
        if unit is not None and not (isinstance(unit, str) and _UNIT.fullmatch(unit)):
            self.mistakes.reject(f"{at}unit", unit, "must be a unit's full name, such as nginx.service")
        number = self.mistakes.number
        urgent_hours = table.get("urgent_hours", URGENT_HOURS)
        return Consumer(
            name=str(name) if is_named else "",
            uses=uses,
            reload=self._argv(at, table.get("reload")),
            timeout_s=number(at, table, "timeout_s", RELOAD_TIMEOUT_S, TIMEOUT_MAX_S),
            verify_timeout_s=number(at, table, "verify_timeout_s", VERIFY_TIMEOUT_S, TIMEOUT_MAX_S),
            endpoints=tuple(
                self._endpoint(self._part(at, section, "endpoint", number_of), one, uses)
                for number_of, one in enumerate(
                    self.mistakes.tables(at, table, "endpoint", "[[consumer.endpoint]]"), 1
                )
            ),
            impact=impact,
            min_interval_s=number(at, table, "min_interval_s", INTERVAL_S[impact], INTERVAL_MAX_S, zero=True),
            window=self._window(at, table.get("window"), impact),
            urgent_s=3600
            * number(
                at, {"urgent_hours": urgent_hours}, "urgent_hours", URGENT_HOURS, URGENT_HOURS_MAX, zero=True
            ),
            unit=unit,
            start=self._argv(at, table["start"], "start") if "start" in table else (),
            copies=tuple(
                self._copy(self._part(at, section, "copy", number_of), one, uses)
                for number_of, one in enumerate(
                    self.mistakes.tables(at, table, "copy", "[[consumer.copy]]"), 1
                )
            ),
        )

    def _part(self, at: str, section: Section, kind: str, place: int) -> str:
        part = f"{at}{kind} {place}: "
        self.mistakes.enter(part, (*section, kind, place))
        return part

    def _uses(self, at: str, value: object) -> tuple[Use, ...]:
        if not isinstance(value, list) or not value or len(set(map(str, value))) != len(value):
            self.mistakes.reject(f"{at}uses", value, f"must list some of {', '.join(USES)}, each once")
            return ("server",)
        for one in value:
            if one not in USES:
                self.mistakes.reject_choice(f"{at}uses", one, USES)
        return tuple(use for use in USES if use in value)

    def _argv(self, at: str, value: object, name: str = "reload") -> tuple[str, ...]:
        key = f"{at}{name}"
        if not isinstance(value, list) or not value or not all(isinstance(one, str) for one in value):
            self.mistakes.reject(
                key, value, 'must be a list of words, such as ["/usr/sbin/nginx", "-s", "reload"]'
            )
            return ()
        if len(value) > ARGV_MAX or any(len(one) > PATH_MAX or "\0" in one for one in value):
            self.mistakes.note(key, f"more than {ARGV_MAX} words, or one that is too long or holds a NUL")
        if not value[0].startswith("/"):
            self.mistakes.reject(
                key, value[0], "must begin with the program's absolute path (no shell is involved)"
            )
        return tuple(value)

    def _impact(self, at: str, value: object) -> Impact:
        for impact in IMPACTS:
            if value == impact:
                return impact
        self.mistakes.reject_choice(f"{at}impact", value, IMPACTS)
        return "none"

    def _window(self, at: str, value: object, impact: Impact) -> Window | None:
        if value == "any":
            return None
        if value is None:
            if impact == "drops_calls":
                self.mistakes.reject(
                    f"{at}window", value, 'says when calls may be dropped, such as "02:00-04:00", or "any"'
                )
            return None
        window = parse_window(value) if isinstance(value, str) else None
        if window is None:
            self.mistakes.reject(
                f"{at}window", value, 'must be a span of the day, such as "02:00-04:00", or "any"'
            )
        return window

    def _endpoint(self, at: str, table: Mapping[str, Any], uses: tuple[Use, ...]) -> Endpoint:
        self.mistakes.check_keys(at, table, ENDPOINT_KEYS)
        host, port, chain = table.get("host"), table.get("port"), table.get("chain", True)
        protocol, slot, sni = table.get("protocol"), table.get("slot", "server"), table.get("sni")
        if not isinstance(host, str) or not _HOST.fullmatch(host):
            self.mistakes.reject(f"{at}host", host, "must be a host name or an address")
        if isinstance(port, bool) or not isinstance(port, int) or not 0 < port < 65536:
            self.mistakes.reject(f"{at}port", port, "must be a port, 1 to 65535")
        if protocol not in PROTOCOLS:
            self.mistakes.reject_choice(f"{at}protocol", protocol, PROTOCOLS)
        if slot not in SLOTS:
            self.mistakes.reject_choice(f"{at}slot", slot, SLOTS)
        elif slot not in uses:
            self.mistakes.reject(f"{at}slot", slot, "is not among what the consumer uses")
        if sni is not None and not (isinstance(sni, str) and _HOST.fullmatch(sni) and ":" not in sni):
            self.mistakes.reject(f"{at}sni", sni, "must be a host name")
        if not isinstance(chain, bool):
            self.mistakes.reject(f"{at}chain", chain, "must be true or false")
        return Endpoint(
            host=str(host),
            port=port if isinstance(port, int) else 0,
            protocol=protocol if protocol in PROTOCOLS else "tls",
            slot=slot if slot in SLOTS else "server",
            sni=sni,
            chain=chain is not False,
        )

    def _copy(self, at: str, table: Mapping[str, Any], uses: tuple[Use, ...]) -> Copy:
        self.mistakes.check_keys(at, table, COPY_KEYS)
        path, to, mode = table.get("file"), table.get("to"), table.get("mode")
        if not isinstance(path, str) or path not in PATHS:
            near = get_close_matches(str(path), sorted(PATHS), 1) or ["server/combined.pem"]
            self.mistakes.reject(f"{at}file", path, f"is not a file of the tree, such as {near[0]}")
            path = ""
        elif path.partition("/")[0] not in uses:
            self.mistakes.reject(f"{at}file", path, "is not among what the consumer uses")
        if not isinstance(to, str) or not is_plain_path(to):
            self.mistakes.reject(f"{at}to", to, "must be a file's absolute path without '..', '//' or a NUL")
        if not isinstance(mode, str) or not _MODE.fullmatch(mode):
            self.mistakes.reject(f"{at}mode", mode, 'must be four octal digits, such as "0400"')
            mode = "0400"
        elif path.rpartition("/")[2] in SECRET_FILES and int(mode, 8) & 0o007:
            self.mistakes.reject(f"{at}mode", mode, "would let everybody read a private key")
        return Copy(
            path=path,
            to=str(to),
            uid=self._account(f"{at}owner", table.get("owner"), "user", self._accounts.uid) or 0,
            gid=self._account(f"{at}group", table.get("group"), "group", self._accounts.gid) or 0,
            mode=int(mode, 8),
        )

    def _account(
        self, key: str, value: object, kind: str, number_of: Callable[[str], int | None]
    ) -> int | None:
        if not isinstance(value, str) or not _ACCOUNT.fullmatch(value):
            self.mistakes.reject(key, value, f"must be a {kind}'s name")
            return None
        number = number_of(value)
        if number is None:
            self.mistakes.note(key, f"there is no {kind} '{value}' on this node")
        return number
