"""Address of a PostgreSQL database: reads the setting that names it, and describes it in messages.

Decides which URLs are accepted and which connections need TLS. Invariant: neither a repr nor an error shows a
password. A password with an unescaped character may end up in any part of a URL, so no error quotes any part.
"""

import ipaddress
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Final, NoReturn
from urllib.parse import parse_qsl, unquote, urlsplit

from common.errors import InvalidInputError

FIELD: Final = "database"
"""The setting that errors name."""

DEFAULT_PORT: Final = 5432
HOSTS_MAX: Final = 8
"""A primary and its replicas; each one adds a `connect_timeout` when none of them answers."""

URL_CHARACTERS_MAX: Final = 4096
CONNECT_TIMEOUT_S: Final = 5
"""How long one host may take to accept a connection, unless the URL says otherwise."""

CONNECT_TIMEOUT_MAX_S: Final = 60

EXAMPLE: Final = "postgresql://USER:PASSWORD@HOST:5432/NAME"
SOCKET_EXAMPLE: Final = "postgresql://USER@:5432/NAME?host=/run/postgresql"

_SCHEMES: Final = frozenset({"postgresql", "postgres"})
_PARAMETERS: Final = frozenset({"connect_timeout", "host", "sslmode", "sslrootcert"})
_LIBPQ: Final = frozenset(
    {
        "application_name", "channel_binding", "client_encoding", "dbname", "fallback_application_name", "gssencmode",
        "hostaddr", "keepalives", "keepalives_count", "keepalives_idle", "keepalives_interval", "krbsrvname",
        "load_balance_hosts", "options", "passfile", "password", "port", "replication", "require_auth", "requirepeer",
        "service", "sslcert", "sslcrl", "sslcrldir", "sslkey", "sslpassword", "sslsni", "sslcompression",
        "ssl_max_protocol_version", "ssl_min_protocol_version", "sslnegotiation", "target_session_attrs",
        "tcp_user_timeout", "user",
    }
)  # fmt: skip
"""Parameters of libpq that are not supported. Errors may quote them: they cannot be part of a password."""

_NOT_HERE: Final = MappingProxyType(
    {
        "port": "write it after the host, as in {example}, or for a Unix socket before the database, as in {socket}",
        **dict.fromkeys(("user", "password"), "write it before the host, as in {example}"),
        "dbname": "write it as the path, as in {example}",
        "hostaddr": "write the address as the host, as in {example}",
    }
)
"""Parameters of libpq that belong elsewhere in the URL."""

_WEAK_MODES: Final = frozenset({"allow", "prefer", "require", "verify-ca"})
_HOST_NAME: Final = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)(\.(?!-)[A-Za-z0-9_-]{1,63}(?<!-))*\.?")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerHost:
    """One place where the server may be: a host name or address with a port, or a Unix socket's directory."""

    name: str
    port: int = DEFAULT_PORT

    @property
    def is_socket(self) -> bool:
        """Whether this is the directory of a Unix socket."""
        return self.name.startswith("/")

    @property
    def is_local(self) -> bool:
        """Whether traffic to this host never leaves the machine."""
        if self.is_socket or self.name.lower() == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.name).is_loopback
        except ValueError:
            return False

    def __str__(self) -> str:
        if self.is_socket:
            return f"{self.name}/.s.PGSQL.{self.port}"
        return f"[{self.name}]:{self.port}" if ":" in self.name else f"{self.name}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerAddress:
    """A database on a server, and the credentials for it.

    `hosts` are the server and the replicas that may take its place. With `is_verified`, connections use TLS
    and the server's name is checked against the CAs in the file `root_certificates`, or against the system's
    if that is None. Otherwise they are in plain text, to this machine only. An empty `user` stands for the
    account's own name, an empty `password` for none. `url` is the whole setting, with the password.
    """

    hosts: tuple[ServerHost, ...]
    name: str
    user: str = ""
    password: str = field(default="", repr=False)
    is_verified: bool
    root_certificates: Path | None = None
    connect_timeout_s: int = CONNECT_TIMEOUT_S
    url: str = field(default="", repr=False, compare=False)

    def __str__(self) -> str:
        return f"'{self.name}' at {', '.join(map(str, self.hosts))}"

    @classmethod
    def parse(cls, text: str) -> "ServerAddress":
        """Read a URL in libpq's form.

        Raises InvalidInputError, which quotes nothing that may be a password.
        """
        if len(text) > URL_CHARACTERS_MAX:
            _refuse(f"the URL is longer than {URL_CHARACTERS_MAX} characters")
        if any(ord(each) <= 0x20 or ord(each) == 0x7F for each in text):
            _refuse(
                f"the URL has a space, a line break or a control character in it; it has the form {EXAMPLE}, and a space in it is written as %20"
            )
        try:
            parts = urlsplit(text)
        except ValueError:
            _refuse(f"this is not a URL of the form {EXAMPLE}")
        if parts.scheme not in _SCHEMES:
            _refuse(f"the URL must begin with postgresql://, as in {EXAMPLE}")
        if parts.fragment or "#" in text:
            _refuse("there is a '#' in the URL; in a user or password, write it as %23")
        login, _, authority = parts.netloc.rpartition("@")
        if "@" in login:
            _refuse("there are two '@' before the host; in a user or password, write it as %40")
        user, _, password = login.partition(":")
        options = _options(parts.query)
        hosts = _hosts(authority, options.get("host"))
        roots = options.get("sslrootcert")
        return cls(
            hosts=hosts,
            name=_name(parts.path),
            user=_decoded(user, "user"),
            password=_decoded(password, "password"),
            is_verified=_is_verified(hosts, options.get("sslmode"), roots),
            root_certificates=_root_certificates(roots),
            connect_timeout_s=_timeout_s(options.get("connect_timeout")),
            url=text,
        )


def _refuse(message: str) -> NoReturn:
    # without the causing error: its text may quote the URL
    raise InvalidInputError(FIELD, message) from None


def _decoded(text: str, what: str) -> str:
    try:
        decoded = unquote(text, errors="strict")
    except UnicodeDecodeError:
        _refuse(f"the {what} in the URL is not UTF-8 when its percent signs are decoded")
    if "\0" in decoded:
        _refuse(f"the {what} in the URL has a NUL in it")
    return decoded


def _name(path: str) -> str:
    name = path.removeprefix("/")
    if not name or "/" in name:
        _refuse(
            f"the URL must end with the name of one database, as in {EXAMPLE}; in a password, write '/' as %2F"
        )
    return _decoded(name, "database's name")


def _options(query: str) -> Mapping[str, str]:
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query), errors="strict")
    except ValueError:
        _refuse("what follows '?' in the URL is not NAME=VALUE; in a password, write '?' as %3F")
    for name, _ in pairs:
        if name in _NOT_HERE:
            place = _NOT_HERE[name].format(example=EXAMPLE, socket=SOCKET_EXAMPLE)
            _refuse(f"the parameter {name} is not taken after '?'; {place}")
        if name in _LIBPQ:
            _refuse(f"the parameter {name} is not taken here; there are {', '.join(sorted(_PARAMETERS))}")
        if name not in _PARAMETERS:
            _refuse(
                f"the URL has an unknown parameter after '?'; there are {', '.join(sorted(_PARAMETERS))} "
                "(in a password, write '?' as %3F and '&' as %26)"
            )
    if len(dict(pairs)) != len(pairs):
        _refuse("a parameter is given twice in the URL")
    return dict(pairs)


def _hosts(authority: str, directory: str | None) -> tuple[ServerHost, ...]:
    if directory is not None:
        name, _, port = authority.partition(":")
        if name:
            _refuse("the URL names a host before the database and another one as 'host'; give one of them")
        if not directory.startswith("/") or "," in directory or "\0" in directory:
            _refuse("'host' must be the absolute directory of a Unix socket, such as /run/postgresql")
        return (ServerHost(name=directory, port=_port(port or str(DEFAULT_PORT))),)
    if not authority:
        _refuse(f"the URL names no host; write {EXAMPLE}, or ?host=/run/postgresql for a Unix socket")
    hosts = tuple(_host(each) for each in authority.split(","))
    if len(hosts) > HOSTS_MAX:
        _refuse(f"the URL names {len(hosts)} hosts, and there may be {HOSTS_MAX}")
    return hosts


def _port(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 5 and 1 <= int(text) <= 65535):
        _refuse(
            "a port in the URL is not a number from 1 to 65535; in a password, write '@' as %40, ':' as %3A and '/' as %2F"
        )
    return int(text)


def _host(text: str) -> ServerHost:
    name, colon, port = text.rpartition(":")
    if not colon or text.endswith("]"):
        name, port = text, str(DEFAULT_PORT)
    if name.startswith("[") and name.endswith("]"):
        name = name[1:-1]
        if not _is_address(name, version=6):
            _refuse("what stands in brackets in the URL is not an IPv6 address")
    elif _HOST_NAME.fullmatch(name) is None:
        _refuse("a host in the URL is neither a name nor an address; an IPv6 address stands in brackets")
    return ServerHost(name=name, port=_port(port))


def _is_address(text: str, *, version: int) -> bool:
    try:
        return ipaddress.ip_address(text).version == version
    except ValueError:
        return False


def _is_verified(hosts: Sequence[ServerHost], mode: str | None, roots: str | None) -> bool:
    is_local = all(each.is_local for each in hosts)
    has_socket = any(each.is_socket for each in hosts)
    match mode:
        case None if roots is not None and has_socket:
            _refuse("there is no TLS over a Unix socket; leave 'sslrootcert' out")
        case None:
            # naming a CA means TLS, even to a tunnel or a proxy on this machine
            return not is_local or roots is not None
        case "disable" if roots is not None and is_local:
            _refuse("sslmode=disable does not use 'sslrootcert'; leave one of them out")
        case "verify-full" if has_socket:
            _refuse("there is no TLS over a Unix socket; leave 'sslmode' out")
        case "verify-full":
            return True
        case "disable" if is_local:
            return False
        case "disable":
            _refuse(
                "sslmode=disable would send keys and the password in plain text to another machine; "
                "leave 'sslmode' out, and name the CA of the server's certificate by 'sslrootcert'"
            )
        case _ if mode in _WEAK_MODES:
            _refuse(
                f"sslmode={mode} does not check who answers, so whoever is in between could read and change everything; "
                "leave 'sslmode' out, and name the CA of the server's certificate by 'sslrootcert'"
            )
        case _:
            _refuse("'sslmode' must be verify-full, or disable for a server on this machine")


def _root_certificates(path: str | None) -> Path | None:
    if path is None or path == "system":
        return None
    if not path.startswith("/") or "\0" in path:
        _refuse("'sslrootcert' must be the absolute path of a PEM file, or 'system'")
    return Path(path)


def _timeout_s(text: str | None) -> int:
    if text is None:
        return CONNECT_TIMEOUT_S
    if not (
        text.isascii() and text.isdecimal() and len(text) <= 3 and 1 <= int(text) <= CONNECT_TIMEOUT_MAX_S
    ):
        _refuse(f"'connect_timeout' must be a number of seconds from 1 to {CONNECT_TIMEOUT_MAX_S}")
    return int(text)
