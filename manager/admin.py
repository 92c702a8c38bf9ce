"""`certcast-manager`: prepare a manager, add its first user, and run it.

Works on the data directory itself, so it is for the machine the manager runs on; everything else is `certcast`'s.
"""

import asyncio
import os
import shlex
import sys
from collections.abc import Mapping
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Annotated, ClassVar, Final

import typer

from common.codes import Role
from common.errors import CertcastError
from common.runtime import log as logs
from common.runtime.terminal import say, say_columns, say_lines
from manager.account import become_owner, give_to_account, real_directory, refuse_foreign
from manager.settings import DEFAULT_CONFIG, DEFAULT_DATA, DEFAULT_HTTPS, DEFAULT_SSH, Settings
from manager.usage import PlainGroup

FIRST_STEPS = f"""Certcast keeps the TLS certificates of a fleet in one place, and every node's copy up to date.

The first steps, on this machine, as root:

  1. certcast-manager init --name THIS-HOST --address ITS-ADDRESS
       makes the store in {DEFAULT_DATA}, its keys, and a temporary certificate for this manager
  2. certcast-manager user add admin --role administrator
       asks for a password and adds the first administrator
  3. systemctl enable --now certcast-manager
       serves https on {DEFAULT_HTTPS} and the nodes' channel on {DEFAULT_SSH}

Root's commands work as the owner of the store. Then, from anywhere:

  export CERTCAST_URL=https://THIS-HOST CERTCAST_USER=admin
  certcast trust                 # compare with 'certcast-manager fingerprint' here
  certcast node add NODE-NAME    # prints what to run on the node

A lost password is replaced here: certcast-manager user password NAME ('certcast-manager user list' lists the names).

'certcast-manager COMMAND --help' explains each step.
"""

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
        # none of them is nearly 'restored', after which nodes wait for an operator
        **{each: f"Use 'systemctl {each} certcast-manager'." for each in ("restart", "stop", "reload")},
        **dict.fromkeys(("log", "logs"), "Use 'journalctl -u certcast-manager'."),
        **dict.fromkeys(_RESETS, _LOST),
        "restore": "Use 'certcast-manager restored', once the backup is in place and before it is served.",
    },
    "user": {
        "edit": "Use 'certcast-manager user password NAME' for the password, or 'certcast user role NAME ROLE' for the role.",
        **{each: _LOST for each in _RESETS if each != "password"},
        "delete": "Use 'certcast user remove NAME', as an administrator.",
        "role": "Use 'certcast user role NAME ROLE', as an administrator.",
    },
}


class _Group(PlainGroup):
    notes: ClassVar[Mapping[str, Mapping[str, str]]] = _NOTES


app = typer.Typer(
    cls=_Group,
    help="Prepare and run a Certcast manager.",
    no_args_is_help=False,
    pretty_exceptions_enable=False,
    add_completion=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
users = typer.Typer(
    cls=_Group,
    help="Add and list those who may sign in, and replace their passwords.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.add_typer(users, name="user")

DataOption = Annotated[
    Path | None,
    typer.Option("--data", metavar="DIR", help=f"The manager's directory. [default: {DEFAULT_DATA}]"),
]
ConfigOption = Annotated[
    Path | None, typer.Option("--config", metavar="FILE", help=f"A TOML file. [default: {DEFAULT_CONFIG}]")
]


def _version(wanted: bool) -> None:
    if wanted:
        say(f"certcast-manager {version_of('certcast')}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def explain(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Explain the first steps when called without a command."""
    del version  # its callback has ended the command
    logs.configure(level="warning")  # `serve` sets up its own
    if context.invoked_subcommand is None:
        say_lines(FIRST_STEPS)


@app.command()
def init(
    data: DataOption = None,
    config: ConfigOption = None,
    name: Annotated[
        list[str] | None,
        typer.Option(
            "--name",
            metavar="NAME",
            help="A DNS name of this manager; may be repeated. [default: the host's name]",
        ),
    ] = None,
    address: Annotated[
        list[str] | None,
        typer.Option("--address", metavar="IP", help="An IP address of this manager; may be repeated."),
    ] = None,
) -> None:
    """Make the store, its keys and a temporary certificate.

    The directory must be empty or not exist yet; nothing is ever overwritten.

    Example: certcast-manager init --name manager.example.com --address 192.0.2.10
    """
    settings = _load(config=config, data=data)
    if settings.data == real_directory(DEFAULT_DATA):
        give_to_account(settings.data)
    become_owner(settings.data)
    from manager.offline import initialise

    say("Making keys and a temporary certificate (a few seconds) ...", err=True)
    asyncio.run(initialise(settings, names=tuple(name or ()), addresses=tuple(address or ())))
    at = "" if settings.data == DEFAULT_DATA else f" --data {shlex.quote(str(settings.data))}"
    say(
        f"The store is ready in {settings.data}. Next: certcast-manager user add admin --role administrator{at}"
    )


@users.command("add")
def user_add(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What the user signs in with.")],
    role: Annotated[Role, typer.Option(help="What the user may do.")] = Role.READ_ONLY,
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the password from standard input.")
    ] = False,
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """Add a user. The password is asked for, or read with --password-stdin.

    Example: echo "$PASSWORD" | certcast-manager user add admin --role administrator --password-stdin
    """
    settings = _load_owned(config=config, data=data)
    from manager.offline import add_user

    asyncio.run(add_user(settings, name=name, role=role, password=_password(from_stdin=password_stdin)))
    say(f"Added {name} ({role}).")


@users.command("password")
def user_password(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Whose password.")],
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the password from standard input.")
    ] = False,
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """Replace a user's password, for example a lost one.

    Run it as root on the manager's machine; the manager may keep running. The old password is not asked for; the user's sessions and
    tokens end. 'certcast-manager user list' lists the names. If nobody is an administrator any more, add one: 'certcast-manager user add
    NAME --role administrator'.

    Example: certcast-manager user password admin
    """
    settings = _load_owned(config=config, data=data)
    from manager.offline import set_password

    asyncio.run(set_password(settings, name=name, password=_password(from_stdin=password_stdin)))
    say(f"{name} has a new password.")


@users.command("list")
def user_list(data: DataOption = None, config: ConfigOption = None) -> None:
    """List those who may sign in."""
    settings = _load_owned(config=config, data=data)
    from manager.offline import list_users

    for user in asyncio.run(list_users(settings)):
        say_columns(user.name, user.role)


@app.command()
def serve(
    data: DataOption = None,
    config: ConfigOption = None,
    https: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT", help=f"Where the API and the pages listen. [default: {DEFAULT_HTTPS}]"
        ),
    ] = None,
    ssh: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help=f"Where the nodes' channel listens. [default: {DEFAULT_SSH}]"),
    ] = None,
    advertise: Annotated[
        list[str] | None,
        typer.Option(
            metavar="HOST:PORT",
            help="What nodes dial; may be repeated. [default: this manager's names and the channel's port]",
        ),
    ] = None,
    log_level: Annotated[
        str | None, typer.Option(metavar="LEVEL", help="debug, info, warning or error.")
    ] = None,
) -> None:
    """Run the manager until it is told to stop (SIGTERM). SIGHUP pushes to every node that is not in sync, at once.

    Example: certcast-manager serve --https 0.0.0.0:443 --ssh 0.0.0.0:9422
    """
    given = {
        # read again while it runs, from another directory
        "config": config.absolute() if config is not None else None,
        "data": data.absolute() if data is not None else None,
        "https": https,
        "ssh": ssh,
        "advertise": tuple(advertise) if advertise else None,
        "log_level": log_level,
    }
    settings = _load(**given)
    refuse_foreign(settings.data)
    from manager.app import serve as run

    asyncio.run(run(settings, read_again=lambda: Settings.load(**given)))  # type: ignore[arg-type] # as in _load


@app.command()
def fingerprint(data: DataOption = None, config: ConfigOption = None) -> None:
    """Print the SHA-256 fingerprint of this manager's own certificate.

    'certcast trust', wherever you work, shows the same one if it reaches this manager and nobody in between.

    Example: certcast-manager fingerprint
    """
    settings = _load_owned(config=config, data=data)
    from manager.offline import own_fingerprint

    say(asyncio.run(own_fingerprint(settings)))


@app.command()
def restored(data: DataOption = None, config: ConfigOption = None) -> None:
    """Mark the store as restored from a backup.

    Run this before it is served again. It raises the epoch. A node that runs something newer than the backup then waits for an operator
    ('certcast push --force NODE') instead of losing it.
    """
    settings = _load_owned(config=config, data=data)
    from manager.offline import bump_epoch

    epoch = asyncio.run(bump_epoch(settings))
    say(f"The store is now at epoch {epoch}.")


def _load(**given: object) -> Settings:
    """Read the settings, and leave the directory in which the command was started.

    It may be one that the store's owner cannot read, and the processes that read uploads begin where this one stands.
    """
    settings = Settings.load(**given)  # type: ignore[arg-type] # `config` is a path, the rest is checked there
    os.chdir("/")
    return settings.model_copy(update={"data": real_directory(settings.data)})


def _load_owned(**given: object) -> Settings:
    settings = _load(**given)
    become_owner(settings.data)
    return settings


def _password(*, from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True))  # noqa: TID251 - asks for a secret


def main() -> None:
    """Run the command; what goes wrong is one sentence on standard error and exit status 1."""
    try:
        app()
    except CertcastError as error:
        say(f"certcast-manager: {error.message}", err=True)
        raise SystemExit(1) from error
