"""The table `[dns]` of the manager's settings: where records are written that prove names, and how.

    [dns]
    resolvers = ["192.0.2.53"]              # optional, up to 3, as ADDRESS or ADDRESS:PORT; by default the system's
    persist = false                         # whether DNS-PERSIST-01 may be used

    [[dns.zone]]                            # a server that takes updates (RFC 2136)
    names = ["example.com", "example.org"]  # for these and all names below them; the nearest one counts
    server = "192.0.2.1"                    # ADDRESS, NAME, ADDRESS:PORT or NAME:PORT
    key_file = "/etc/certcast/example.key"  # as tsig-keygen writes it; or a credential of the service manager:
    # key_credential = "certcast-example-key"

    [[dns.zone]]                            # a command that changes records
    names = ["example.net"]
    present = ["/usr/local/sbin/change-dns", "present"]   # is given two words more: the record's name and its text
    cleanup = ["/usr/local/sbin/change-dns", "cleanup"]
    timeout_seconds = 60

Decides which values are right. Others check that a server, a key or a program exists.
Invariant: no secret is in the settings, and nothing of dnspython is imported.
"""

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Final, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    InstanceOf,
    StringConstraints,
    model_validator,
)

from common.pki.faults import wrong_with

DNS_PORT: Final = 53
RESOLVERS_MAX: Final = 3
"""As many resolvers as resolv.conf(5) may name (MAXNS)."""

ZONES_MAX: Final = 50
NAMES_MAX: Final = 100
"""Names of one zone entry; as many as a certificate may have at most CAs."""

ARGV_MAX: Final = 32
WORD_MAX_CHARS: Final = 4096
"""PATH_MAX (limits.h)."""

HOOK_TIMEOUT_S: Final = 60
HOOK_TIMEOUT_MAX_S: Final = 600
"""Limit of `timeout_seconds`: a command may wait for a provider's API, but must not hold up an order for
longer."""

_WORDS: Final = 'must be a list of words, such as ["/usr/local/sbin/change-dns", "present"]'


@dataclass(frozen=True, slots=True)
class HostPort:
    """A DNS server's place: an address or a name, and a port."""

    host: str
    port: int

    @property
    def is_address(self) -> bool:
        """Whether the host is an address, which needs no lookup."""
        return _is_address(self.host)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return self.host if self.port == DNS_PORT else f"{host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """A server that takes updates, with its key in a file or in a credential of the service manager."""

    server: HostPort
    key_file: Path | None
    key_credential: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Hook:
    """Commands that change records; each is given the record's name and its text."""

    present: Sequence[str]
    cleanup: Sequence[str]
    timeout_s: float


def parse_host_port(text: object) -> HostPort:
    """Read ADDRESS, NAME, ADDRESS:PORT or NAME:PORT. Raises ValueError."""
    if not isinstance(text, str):
        raise ValueError("must be text in quotes, such as '192.0.2.53'")  # noqa: TRY004 - what pydantic takes
    if _is_address(text):
        return HostPort(text, DNS_PORT)
    host, colon, port = text.rpartition(":")
    if not colon or text.endswith("]"):
        host, port = text, str(DNS_PORT)
    if not (port.isascii() and port.isdecimal() and len(port) <= 5 and 1 <= int(port) <= 65535):
        raise ValueError(f"'{text}' does not end in a port (1 to 65535)")
    is_bracketed = host.startswith("[") and host.endswith("]")
    host = host[1:-1] if is_bracketed else host
    is_right = _is_address(host) if is_bracketed else not ({":", "*"} & set(host))
    if not (is_right and (_is_address(host) or not wrong_with(host))):
        raise ValueError(
            f"'{text}' is not the place of a server (for example 192.0.2.53, [2001:db8::53]:5353 or ns1.example.com)"
        )
    return HostPort(host, int(port))


def _parse_resolver(text: object) -> HostPort:
    resolver = parse_host_port(text)
    if not resolver.is_address:
        raise ValueError(
            f"'{resolver.host}' is a name, which would have to be looked up there first; give its address"
        )
    return resolver


def _is_address(text: str) -> bool:
    try:
        return not getattr(ipaddress.ip_address(text), "scope_id", None)
    except ValueError:
        return False


def _check_domain(text: str) -> str:
    # only host names: records of other kinds are below names such as _acme-challenge.example.com
    if wrong := wrong_with(text.replace("_", "x")):
        raise ValueError(f"'{text}' {wrong}")
    if text.startswith("*"):
        raise ValueError(
            f"'{text}' has a wildcard; names below '{text.removeprefix('*.')}' are meant by that name"
        )
    return text.lower()


def _check_argv(argv: tuple[str, ...]) -> tuple[str, ...]:
    if not argv:
        raise ValueError(_WORDS)
    if not argv[0].startswith("/"):
        raise ValueError(f"'{argv[0]}' is not the absolute path of a program (no shell is involved)")
    if len(argv) > ARGV_MAX or any(len(word) > WORD_MAX_CHARS or "\0" in word for word in argv):
        raise ValueError(f"has more than {ARGV_MAX} words, or one that is too long or holds a NUL")
    return argv


def _check_absolute(path: Path) -> Path:
    if not path.is_absolute():
        raise ValueError(f"'{path}' is not an absolute path")
    return path


Domain = Annotated[str, AfterValidator(_check_domain)]
Argv = Annotated[tuple[str, ...], AfterValidator(_check_argv)]
Credential = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]{1,255}$")]


class ZoneSettings(BaseModel):
    """How to change records of some names: exactly one of an update and a hook."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    names: Annotated[tuple[Domain, ...], Field(min_length=1, max_length=NAMES_MAX)]
    server: Annotated[InstanceOf[HostPort] | None, BeforeValidator(parse_host_port)] = None
    key_file: Annotated[Path, AfterValidator(_check_absolute)] | None = None
    key_credential: Credential | None = None
    present: Argv | None = None
    cleanup: Argv | None = None
    timeout_seconds: Annotated[int, Field(ge=1, le=HOOK_TIMEOUT_MAX_S)] | None = None

    @model_validator(mode="after")
    def _check_way(self) -> Self:
        of_update = self.server is not None
        if of_update == (self.present is not None):
            raise ValueError(
                "must have either a server that takes updates, or the commands present and cleanup"
            )
        keys = (self.key_file, self.key_credential)
        if of_update and (self.cleanup is not None or self.timeout_seconds is not None):
            raise ValueError("cleanup and timeout_seconds belong to commands, and there is a server")
        if of_update and (keys[0] is None) == (keys[1] is None):
            raise ValueError(
                "must have either key_file or key_credential, by which the server knows who asks"
            )
        if not of_update and self.cleanup is None:
            raise ValueError("must have cleanup beside present, or records would stay for ever")
        if not of_update and any(key is not None for key in keys):
            raise ValueError("key_file and key_credential belong to a server, and there are commands")
        return self

    @property
    def way(self) -> Update | Hook:
        """How records are changed."""
        if self.server is not None:
            return Update(server=self.server, key_file=self.key_file, key_credential=self.key_credential)
        return Hook(
            present=self.present or (),
            cleanup=self.cleanup or (),
            timeout_s=self.timeout_seconds or HOOK_TIMEOUT_S,
        )


class DnsSettings(BaseModel):
    """`persist`: whether a lasting record may prove a name (DNS-PERSIST-01)."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    resolvers: Annotated[
        tuple[Annotated[InstanceOf[HostPort], BeforeValidator(_parse_resolver)], ...],
        Field(max_length=RESOLVERS_MAX),
    ] = ()
    persist: bool = False
    zone: Annotated[tuple[ZoneSettings, ...], Field(max_length=ZONES_MAX)] = ()

    @model_validator(mode="after")
    def _check_names(self) -> Self:
        names = sorted(name for zone in self.zone for name in zone.names)
        for name, following in pairwise(names):
            if name == following:
                raise ValueError(f"the name '{name}' is given twice")
        return self

    def way_of(self, record: str) -> Update | Hook | None:
        """Return how to change a record, by the nearest name above it; None if there is none."""
        labels = record.lower().split(".")
        ways = {name: zone.way for zone in self.zone for name in zone.names}
        above = (".".join(labels[place:]) for place in range(len(labels)))
        return next((ways[name] for name in above if name in ways), None)


def place_of(loc: Sequence[str | int]) -> str:
    """Return where in the table a finding is: `dns.zone 2.server`."""
    return "".join(f" {part + 1}" if isinstance(part, int) else f".{part}" for part in loc).removeprefix(".")


def known_at(loc: Sequence[str | int]) -> Mapping[str, object]:
    """Return the known settings at a finding's place."""
    return ZoneSettings.model_fields if "zone" in loc[:-1] else DnsSettings.model_fields
