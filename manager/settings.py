"""The manager's settings: built-in defaults, then a TOML file, then CERTCAST_MANAGER_* variables, then the command line.

Invariant: settings are frozen and checked as a whole; an invalid one stops the start with its name and finding.
"""

import difflib
import ipaddress
import os
import re
import tomllib
from collections.abc import Collection, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, Field, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from common.errors import InvalidInputError
from common.runtime.trusted import check_file, examine, resolve
from manager.store.place import StorePlace

DEFAULT_DATA = Path("/var/lib/certcast/manager")
DEFAULT_CONFIG = Path("/etc/certcast/manager.toml")
DEFAULT_HTTPS = "0.0.0.0:443"
DEFAULT_SSH = "0.0.0.0:9422"
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
    }
)
"""What a finding of this type says to people, made of what the finding tells."""


def split_host_port(text: str) -> tuple[str, int]:
    """Split `host:port` or `[v6]:port`; an empty host means all addresses. Raises ValueError."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isascii() or not port.isdecimal() or not 0 <= int(port) <= 65535:
        raise ValueError(f"'{text}' is not HOST:PORT (for example 0.0.0.0:443 or [::]:443)")
    return host.removeprefix("[").removesuffix("]"), int(port)


def _host_port(text: str) -> str:
    split_host_port(text)
    return text


def _finding(each: ErrorDetails, path: Path, given: Mapping[str, object], known: Collection[str]) -> str:
    """Say what is wrong with a setting, and where it was set."""
    name = str(each["loc"][0]) if each["loc"] else "settings"
    variable = f"CERTCAST_MANAGER_{name.upper()}"
    if given.get(name) is not None:
        place = f"--{name.replace('_', '-')}"
    elif variable in os.environ:
        place = variable
    else:
        place = f"{path}: {name}"
    if each["type"] == "extra_forbidden":
        near = difflib.get_close_matches(name, known, n=1)
        return f"{place}: there is no such setting" + (f"; did you mean '{near[0]}'?" if near else "")
    plain = _PLAIN.get(each["type"])
    if plain is not None:
        return f"{place}: {plain.format(**each.get('ctx', {}))}"
    message = each["msg"].removeprefix("Value error, ")
    return f"{place}: {message[:1].lower()}{message[1:]}"


def _unread_variable(error: SettingsError) -> str:
    """Say which variable, which must be JSON because its setting is a list, is none."""
    name = re.search(r'field "(\w+)"', str(error))
    return f"CERTCAST_MANAGER_{name[1].upper()}: {_A_LIST}" if name else str(error)


def _absolute(path: Path) -> Path:
    try:
        return path.absolute()
    except FileNotFoundError as error:
        raise ValueError(f"{path} starts from the working directory, which was deleted") from error


def _check_config(path: Path) -> None:
    """Refuse a file that somebody else could change. Raises InvalidInputError."""
    try:
        real = resolve(path)
        check_file(examine(real), real)
    except FileNotFoundError:
        return  # the built-in settings hold
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
        raise ValueError(f"'{text}' is everybody: whoever asks could say where the request comes from")
    return text


ProxyNetwork = Annotated[str, AfterValidator(_proxy_network)]
HostPort = Annotated[str, AfterValidator(_host_port)]


class _TomlFile(TomlConfigSettingsSource):
    """The file, which an editor may have begun with a byte order mark."""

    def _read_file(self, file_path: Any) -> dict[str, Any]:
        return tomllib.loads(file_path.read_text(encoding="utf-8-sig"))


class Settings(BaseSettings):
    """`advertise` is what join tokens tell agents to dial; empty: the management node's own names.

    `audit_heads` is a file that signed heads of the audit log are added to. `trusted_proxies` are the addresses or networks of reverse
    proxies before the HTTPS endpoint, each of which says in `Forwarded` or `X-Forwarded-For` where a request comes from.
    """

    model_config = SettingsConfigDict(env_prefix="CERTCAST_MANAGER_", extra="forbid", frozen=True)

    data: Annotated[Path, AfterValidator(_absolute)] = DEFAULT_DATA
    https: HostPort = DEFAULT_HTTPS
    ssh: HostPort = DEFAULT_SSH
    advertise: tuple[HostPort, ...] = ()
    log_style: Literal["auto", "json", "console"] = "auto"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    audit_heads: Annotated[Path, AfterValidator(_absolute)] | None = None
    trusted_proxies: tuple[ProxyNetwork, ...] = ()
    token_days: Annotated[int, Field(ge=1, le=30)] = 1

    @property
    def place(self) -> StorePlace:
        """Where the store is."""
        return StorePlace(self.data, None)

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
        return (init_settings, env_settings, _TomlFile(settings_cls))

    @classmethod
    def load(cls, *, config: Path | None = None, **given: object) -> Self:
        """Read all sources; `given` is the command line. Raises InvalidInputError naming every bad setting."""
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
        except RecursionError as error:
            raise InvalidInputError("config", f"{path} is nested too deeply") from error
        except ValueError as error:  # a TOML file that does not parse
            message = str(error)
            raise InvalidInputError(
                "config", f"{path} is not TOML: {message[:1].lower()}{message[1:]}"
            ) from error
