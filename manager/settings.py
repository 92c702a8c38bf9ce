"""Settings of the manager: defaults, then a TOML file, then CERTCAST_MANAGER_* variables, then options.

The database server's address may contain a password, so it is never a command line option, which every user
can see; a service manager's credential overrides file and variable. Invariant: settings are frozen and
validated as a whole. An invalid one stops the start with its name and finding, without passwords.
"""

import contextlib
import difflib
import grp
import ipaddress
import os
import re
import shlex
import stat
import tomllib
from collections.abc import Collection, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, InstanceOf, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails, PydanticCustomError
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from common.errors import InvalidInputError
from common.runtime.trusted import ROOT_UID, check_file, examine, resolve
from common.wire.contact import ADDRESS_MAX_CHARS, ADDRESSES_MAX, is_address
from manager.account import ACCOUNT
from manager.database_setting import DATABASE_CREDENTIAL, TOLD_FILE, credential, read_credential, read_told
from manager.dns.settings import DnsSettings, known_at, place_of
from manager.store.address import ServerAddress
from manager.store.place import StorePlace

DEFAULT_DATA = Path("/var/lib/certcast/manager")
DEFAULT_CONFIG = Path("/etc/certcast/manager.toml")
PREFIX: Final = "CERTCAST_MANAGER_"
"""The prefix of variables that are settings."""

DRAIN_MAX_S: Final = 15
"""The unit gives a manager 20 s to stop (TimeoutStopSec=)."""

DEFAULT_HTTPS = "0.0.0.0:443"
DEFAULT_SSH = "0.0.0.0:9422"
ROOT_GID: Final = 0
_A_LIST: Final = 'must be a list such as ["A", "B"]'
_A_NUMBER: Final = "must be a whole number"
_PLAIN: Final = MappingProxyType(
    {
        "string_type": "must be text in quotes",
        "path_type": "must be a path, as text in quotes",
        "tuple_type": _A_LIST,
        "int_type": _A_NUMBER,
        "int_parsing": _A_NUMBER,
        "int_parsing_size": _A_NUMBER,
        "int_from_float": _A_NUMBER,
        "finite_number": _A_NUMBER,
        "greater_than_equal": "must be at least {ge}",
        "less_than_equal": "must be at most {le}",
        "literal_error": "must be {expected}",
        "model_type": "must be a table",
        "bool_type": "must be true or false",
        "bool_parsing": "must be true or false",
        "missing": "must be given",
    }
)
"""The message for a finding of this type, formatted with its context."""


def split_host_port(text: str) -> tuple[str, int]:
    """Split `host:port` or `[v6]:port`; an empty host means all addresses. Raises ValueError."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isascii() or not port.isdecimal() or not 0 <= int(port) <= 65535:
        raise ValueError(f"'{text}' is not HOST:PORT (for example 0.0.0.0:443 or [::]:443)")
    return host.removeprefix("[").removesuffix("]"), int(port)


def _host_port(text: str) -> str:
    split_host_port(text)
    return text


def _dialled_address(text: str) -> str:
    if len(text) > ADDRESS_MAX_CHARS or not is_address(text):
        raise ValueError(
            f"'{text}' is not an address that nodes can dial (for example manager.example.com:9422 or [2001:db8::1]:9422)"
        )
    return text


def _variable(name: str) -> str:
    return f"{PREFIX}{name.upper()}"


def database_removal(config: Path | None, data: Path) -> str:
    """Say how to remove the setting `database` from where it is set now."""
    if credential() is not None:
        return f"remove the credential {DATABASE_CREDENTIAL} from the unit (systemctl edit certcast-manager)"
    variable = _variable("database")
    if variable in os.environ:
        return f"remove the variable {variable}, here and from the unit"
    if read_told(data) is not None:
        return f"remove {data / TOLD_FILE}, and 'database' from {config or DEFAULT_CONFIG} if it is there"
    return f"remove 'database' from {config or DEFAULT_CONFIG}"


def _finding(each: ErrorDetails, path: Path, given: Mapping[str, object], known: Collection[str]) -> str:
    """Say what is wrong with a setting, and where it was set."""
    name = str(each["loc"][0]) if each["loc"] else "settings"
    variable = _variable(name)
    if given.get(name) is not None:
        place = f"--{name.replace('_', '-')}"
    elif name == "database" and credential() is not None:
        place = f"the credential {DATABASE_CREDENTIAL}"
    elif variable in os.environ:
        place = variable
    else:
        place = f"{path}: {place_of(each['loc']) if name == 'dns' else name}"
    if each["type"] == "extra_forbidden":
        wrong, *tables = reversed(each["loc"])
        near = difflib.get_close_matches(str(wrong), known_at(each["loc"]) if tables else known, n=1)
        return f"{place}: there is no such setting" + (f"; did you mean '{near[0]}'?" if near else "")
    plain = _PLAIN.get(each["type"])
    if plain is not None:
        return f"{place}: {plain.format(**each.get('ctx', {}))}"
    message = each["msg"].removeprefix("Value error, ")
    return f"{place}: {message[:1].lower()}{message[1:]}"


def _unread_variable(error: SettingsError) -> str:
    """Say which list variable is not valid JSON."""
    name = re.search(r'field "(\w+)"', str(error))
    return f"{_variable(name[1])}: {_A_LIST}" if name else str(error)


def _absolute(path: Path) -> Path:
    try:
        return path.absolute()
    except FileNotFoundError as error:
        raise ValueError(f"{path} starts from the working directory, which was deleted") from error


def _check_config(path: Path) -> None:
    """Refuse a file that other accounts could change. Raises InvalidInputError."""
    try:
        real = resolve(path)
        check_file(examine(real), real)
    except FileNotFoundError:
        return  # the defaults apply
    except OSError as error:
        raise InvalidInputError("config", f"{path} cannot be used: {error.strerror}") from error


def _proxy_network(text: str) -> str:
    try:
        network = ipaddress.ip_network(text)
    except ValueError as error:
        raise ValueError(
            f"'{text}' is not an address or a network (for example 192.0.2.10 or 2001:db8:1::/64)"
        ) from error
    if network.prefixlen == 0:
        raise ValueError(
            f"'{text}' is every address: any client could then choose the address it is known by"
        )
    return text


ProxyNetwork = Annotated[str, AfterValidator(_proxy_network)]
HostPort = Annotated[str, AfterValidator(_host_port)]
DialledAddress = Annotated[str, AfterValidator(_dialled_address)]


def _server(value: object) -> ServerAddress | None:
    if value is None or isinstance(value, ServerAddress):
        return value
    if not isinstance(value, str):
        raise PydanticCustomError("string_type", "must be text")
    try:
        return ServerAddress.parse(value)
    except InvalidInputError as error:
        raise ValueError(error.message) from None


class _TomlFile(TomlConfigSettingsSource):
    """The settings' file, which may begin with a byte order mark."""

    def _read_file(self, file_path: Any) -> dict[str, Any]:
        with Path(file_path).open("rb") as file:
            facts = os.fstat(file.fileno())
            found = tomllib.loads(file.read().decode("utf-8-sig"))
        if _has_password(found.get("database")) and not _is_private(facts, found.get("data", DEFAULT_DATA)):
            raise InvalidInputError(
                "database",
                f"{file_path} has the database's password in it and can be read by others (mode {stat.S_IMODE(facts.st_mode):04o}); "
                f"run: chown root:{ACCOUNT} {shlex.quote(str(file_path))} && chmod 640 {shlex.quote(str(file_path))}",
            )
        return found


class _Address(PydanticBaseSettingsSource):
    """The database address from a source other than file and variables."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Return a setting's value, its name, and False: it is not JSON."""
        return (self._find() if field_name == "database" else None), field_name, False

    def __call__(self) -> dict[str, Any]:
        """Return what was found."""
        found = self._find()
        return {} if found is None else {"database": found}

    def _find(self) -> str | None:
        raise NotImplementedError


class _Credential(_Address):
    """The address in the service manager's credential."""

    def _find(self) -> str | None:
        path = credential()
        return None if path is None else read_credential(path)


class _Told(_Address):
    """The address this manager was told when it joined another."""

    def _find(self) -> str | None:
        if self.current_state.get("database") is not None:
            return None
        data = Path(str(self.current_state.get("data") or DEFAULT_DATA))
        found = read_told(data)
        if found is not None:
            try:
                ServerAddress.parse(found)
            except InvalidInputError as error:
                raise InvalidInputError("database", f"{data / TOLD_FILE}: {error.message}") from None
        return found


def _has_password(value: object) -> bool:
    try:
        return isinstance(value, str) and bool(ServerAddress.parse(value).password)
    except InvalidInputError:
        return False  # the file is refused as a whole


def _is_private(facts: os.stat_result, data: object) -> bool:
    """Whether only its owner, root, and the store's account can read this."""
    if facts.st_mode & stat.S_IRWXO:
        return False
    if not facts.st_mode & stat.S_IRWXG:
        return True
    groups = {ROOT_GID}
    with contextlib.suppress(KeyError):
        groups.add(grp.getgrnam(ACCOUNT).gr_gid)
    with contextlib.suppress(OSError):
        groups.add(Path(str(data)).stat().st_gid)
    return facts.st_uid == ROOT_UID and facts.st_gid in groups


class Settings(BaseSettings):
    """`database` is PostgreSQL's address if the store is not a file.

    `advertise` are the addresses agents are told to dial; if empty, the management node's own names.
    `drain_seconds` is how long a stopping manager goes on serving while it reports not ready. `audit_heads`
    is a file to which signed heads of the audit log are appended. `trusted_proxies` are the addresses or
    networks of reverse proxies before the HTTPS endpoint; each states a request's origin in `Forwarded` or
    `X-Forwarded-For`. `dns` is how to write the records that prove names to a CA.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, extra="forbid", frozen=True, hide_input_in_errors=True
    )

    data: Annotated[Path, AfterValidator(_absolute)] = DEFAULT_DATA
    database: Annotated[InstanceOf[ServerAddress] | None, BeforeValidator(_server), NoDecode] = None
    https: HostPort = DEFAULT_HTTPS
    ssh: HostPort = DEFAULT_SSH
    advertise: Annotated[tuple[DialledAddress, ...], Field(max_length=ADDRESSES_MAX)] = ()
    log_style: Literal["auto", "json", "console"] = "auto"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    audit_heads: Annotated[Path, AfterValidator(_absolute)] | None = None
    trusted_proxies: tuple[ProxyNetwork, ...] = ()
    drain_seconds: Annotated[int, Field(ge=0, le=DRAIN_MAX_S)] = 0
    token_days: Annotated[int, Field(ge=1, le=30)] = 1
    dns: Annotated[DnsSettings, NoDecode] = DnsSettings()

    @property
    def place(self) -> StorePlace:
        """The store's place."""
        return StorePlace(self.data, self.database)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Order the sources, the strongest first."""
        del dotenv_settings, file_secret_settings
        return (
            init_settings,
            _Credential(settings_cls),
            env_settings,
            _TomlFile(settings_cls),
            _Told(settings_cls),
        )

    @classmethod
    def load(cls, *, config: Path | None = None, **given: object) -> Self:
        """Read all sources; `given` is the command line.

        Raises InvalidInputError naming every bad setting.
        """
        path = config or DEFAULT_CONFIG
        if config is not None and not config.is_file():
            raise InvalidInputError("config", f"there is no file {config}")
        _check_config(path)
        chosen = type(cls.__name__, (cls,), {"model_config": {**cls.model_config, "toml_file": path}})
        try:
            return chosen(**{name: value for name, value in given.items() if value is not None})  # type: ignore[no-any-return]
        except ValidationError as error:
            found = "; ".join(_finding(each, path, given, cls.model_fields) for each in error.errors())
            raise InvalidInputError("settings", found) from error
        except SettingsError as error:
            raise InvalidInputError("settings", _unread_variable(error)) from error
        except UnicodeDecodeError as error:
            raise InvalidInputError("config", f"{path} is not UTF-8") from error
        except OSError as error:
            raise InvalidInputError("config", f"{path} cannot be read: {error.strerror}") from error
        except RecursionError as error:
            raise InvalidInputError("config", f"{path} is nested too deeply") from error
        except ValueError as error:  # a TOML file that does not parse
            message = str(error)
            raise InvalidInputError(
                "config", f"{path} is not TOML: {message[:1].lower()}{message[1:]}"
            ) from error
