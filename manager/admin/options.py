"""Options that the commands of `certcast-manager` share, and what each command does before it opens a store.

Decides how settings are found, as which account a command continues, and what help unknown commands get.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, ClassVar, Final

import typer

from manager.account import become_owner, real_directory
from manager.settings import DEFAULT_CONFIG, DEFAULT_DATA, Settings
from manager.usage import PlainGroup

_ELSEWHERE = "is a matter of the operator's command: 'certcast --help' lists what there is."
_LOST = "Use 'certcast-manager user password NAME'."
_RESETS = ("password", "passwd", "reset", "reset-password", "change-password", "set-password")
_NOTES: Final[Mapping[str, Mapping[str, str]]] = {
    "": {
        **{
            each: f"'{each}' {_ELSEWHERE}"
            for each in ("node", "certificate", "cert", "ca", "csr", "alarm", "token", "audit", "push")
        },
        "status": "Use 'systemctl status certcast-manager' for the daemon, or 'certcast status' for the nodes.",
        "start": "Use 'systemctl start certcast-manager', or 'certcast-manager serve' to run it at this terminal.",
        "run": "Use 'systemctl start certcast-manager', or 'certcast-manager serve' to run it at this terminal.",
        # "restart" must not be corrected to the similar "restored", after which nodes wait for an operator
        **{each: f"Use 'systemctl {each} certcast-manager'." for each in ("restart", "stop", "reload")},
        **dict.fromkeys(("log", "logs"), "Use 'journalctl -u certcast-manager'."),
        **dict.fromkeys(_RESETS, _LOST),
        **dict.fromkeys(("dump", "export", "save"), "Use 'certcast-manager backup DIRECTORY'."),
        **dict.fromkeys(
            ("migrate", "move", "postgresql", "sqlite"),
            "Use 'certcast-manager migrate-store --to postgresql', or '--to sqlite'.",
        ),
        "restore": "Use 'certcast-manager restored', once the backup is in place and before it is served.",
    },
    "user": {
        "edit": "Use 'certcast-manager user password NAME' for the password, or 'certcast user role NAME ROLE' for the role.",
        **{each: _LOST for each in _RESETS if each != "password"},
        "delete": "Use 'certcast user remove NAME', as an administrator.",
        "role": "Use 'certcast user role NAME ROLE', as an administrator.",
    },
}


class Group(PlainGroup):
    notes: ClassVar[Mapping[str, Mapping[str, str]]] = _NOTES


DataOption = Annotated[
    Path | None,
    typer.Option("--data", metavar="DIR", help=f"The manager's directory. [default: {DEFAULT_DATA}]"),
]
ConfigOption = Annotated[
    Path | None, typer.Option("--config", metavar="FILE", help=f"A TOML file. [default: {DEFAULT_CONFIG}]")
]
NamesOption = Annotated[
    list[str] | None,
    typer.Option(
        "--name",
        metavar="NAME",
        help="A DNS name of this manager; may be repeated. [default: the host's name]",
    ),
]
AddressesOption = Annotated[
    list[str] | None,
    typer.Option("--address", metavar="IP", help="An IP address of this manager; may be repeated."),
]


def load(**given: object) -> Settings:
    """Read the settings, and leave the command's working directory.

    The store's owner may be unable to read it, and the processes that read uploads would inherit it.
    """
    settings = Settings.load(**given)  # type: ignore[arg-type] # `config` is a path, the rest is checked there
    os.chdir("/")
    return settings.model_copy(update={"data": real_directory(settings.data)})


def load_owned(**given: object) -> Settings:
    settings = load(**given)
    become_owner(settings.data)
    return settings
