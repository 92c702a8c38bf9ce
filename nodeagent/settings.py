"""The agent's settings: the command line over built-in defaults. What a node's services are is in `services.toml`.

Invariant: settings are frozen and checked as a whole.
"""

import grp
import os
import pwd
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from common.errors import CertcastError, InvalidInputError, Reason
from common.runtime.trusted import read_own_file, resolve
from nodeagent.core.drift import Ownership
from nodeagent.core.services import Services
from nodeagent.core.servicesfile import FILE_MAX_BYTES, ServicesError, UserDatabase, parse_services

DEFAULT_DATA: Final = Path("/var/lib/certcast/nodeagent")
DEFAULT_SERVICES: Final = Path("/etc/certcast/services.toml")
DEFAULT_HEALTH: Final = "127.0.0.1:9470"

MISSING: Final = (
    "there is no such file; it says which services to reload and which ports to check; an empty file is enough for a node that only keeps "
    "the files"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What `run` needs. `health` is where the health endpoint listens."""

    data: Path = DEFAULT_DATA
    services: Path = DEFAULT_SERVICES
    health: tuple[str, int] = ("127.0.0.1", 9470)
    log_style: Literal["auto", "json", "console"] = "auto"
    log_level: Literal["debug", "info", "warning", "error"] = "info"


def split_host_port(text: str) -> tuple[str, int]:
    """Split `host:port` or `[v6]:port`. Raises InvalidInputError with field `health`."""
    host, colon, port = text.rpartition(":")
    if not (colon and host and port.isascii() and port.isdecimal() and int(port) <= 65535):
        raise InvalidInputError("health", f"'{text}' is not HOST:PORT (for example {DEFAULT_HEALTH})")
    return host.removeprefix("[").removesuffix("]"), int(port)


def real_directory(data: Path) -> Path:
    """Return the data directory without links; below it none is followed. Raises CertcastError for one that others could change."""
    try:
        return resolve(data)
    except OSError as error:
        raise CertcastError(f"{data} cannot be used: {error.strerror}", reason=Reason.PERMISSION) from error


def load_services(path: Path) -> tuple[Services, Ownership]:
    """Read the node's services and who shall own the files. Raises ServicesError, whose mistakes do not name the file."""
    services = parse_services(read_services(path), ACCOUNTS)
    return services, owners_for(services.secret_gid)


def read_services(path: Path) -> str:
    """Return the services file's text: what it names is run as this process's user, so nobody else may be able to change it.

    Raises ServicesError.
    """
    try:
        return read_own_file(resolve(path), FILE_MAX_BYTES + 1).decode("utf-8-sig")
    except FileNotFoundError as error:
        raise ServicesError([MISSING]) from error
    except UnicodeDecodeError as error:
        raise ServicesError([f"this is not UTF-8 (byte {error.start})"]) from error
    except OSError as error:
        raise ServicesError([f"it cannot be used: {error.strerror}"]) from error


def owners_for(secret_gid: int | None) -> Ownership:
    """Return who shall own the files: this process, and the group that may read keys if there is one."""
    uid, gid = os.geteuid(), os.getegid()
    if secret_gid is None:
        return Ownership(uid=uid, gid=gid, secret_gid=gid)
    return Ownership(uid=uid, gid=gid, secret_gid=secret_gid, secret_mode=0o640)


def _uid(name: str) -> int | None:
    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError:
        return None


def _gid(name: str) -> int | None:
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        return None


ACCOUNTS: Final = UserDatabase(uid=_uid, gid=_gid)
"""Those of this machine."""
