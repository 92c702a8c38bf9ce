"""Commands of `certcast-manager` that prepare a manager and run it, and the group that all of them are in."""

import asyncio
import shlex
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Annotated

import typer

from common.errors import CertcastError
from common.runtime import log as logs
from common.runtime.terminal import say, say_lines
from manager.account import become_owner, give_to_account, real_directory, refuse_foreign
from manager.admin.cluster import cluster_token, join_cluster
from manager.admin.copies import backup, migrate_store
from manager.admin.options import (
    AddressesOption,
    ConfigOption,
    DataOption,
    Group,
    NamesOption,
    load,
    load_owned,
)
from manager.admin.users import users
from manager.settings import DEFAULT_DATA, DEFAULT_HTTPS, DEFAULT_SSH, Settings
from manager.store.missing import NoKeyError, NoStoreError

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

A backup is written while the manager runs: certcast-manager backup DIRECTORY
A lost password is replaced here: certcast-manager user password NAME ('certcast-manager user list' lists the names).

'certcast-manager COMMAND --help' explains each step.
"""

app = typer.Typer(
    cls=Group,
    help="Prepare and run a Certcast manager.",
    no_args_is_help=False,
    pretty_exceptions_enable=False,
    add_completion=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(users, name="user")


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
    name: NamesOption = None,
    address: AddressesOption = None,
) -> None:
    """Make the store, its keys and a temporary certificate.

    The directory must be empty or not exist yet, apart from the key (kek) of a store elsewhere; nothing is ever overwritten. Where the setting
    'database' names a PostgreSQL database, the store is made there, and its keys in the directory.

    Example: certcast-manager init --name manager.example.com --address 192.0.2.10
    """
    settings = load(config=config, data=data)
    if settings.data == real_directory(DEFAULT_DATA):
        give_to_account(settings.data)
    become_owner(settings.data)
    from manager.offline import initialise

    say("Making keys and a temporary certificate (a few seconds) ...", err=True)
    asyncio.run(initialise(settings, names=tuple(name or ()), addresses=tuple(address or ())))
    say(
        f"The store is ready in {_where(settings)}. Next: "
        f"certcast-manager user add admin --role administrator{_at(settings.data)}"
    )


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
            help="What nodes dial; 16 at most. [default: this manager's names and the channel's port]",
        ),
    ] = None,
    log_level: Annotated[
        str | None, typer.Option(metavar="LEVEL", help="debug, info, warning or error.")
    ] = None,
) -> None:
    """Run the manager until it is told to stop (SIGTERM).

    SIGHUP reads 'advertise' in the settings again, announces it to all nodes, and pushes to every node that is not in sync.

    Example: certcast-manager serve --https 0.0.0.0:443 --ssh 0.0.0.0:9422
    """
    given = {
        # read again while the manager runs, from another working directory
        "config": config.absolute() if config is not None else None,
        "data": data.absolute() if data is not None else None,
        "https": https,
        "ssh": ssh,
        "advertise": tuple(advertise) if advertise else None,
        "log_level": log_level,
    }
    settings = load(**given)
    refuse_foreign(settings.data)
    from manager.app import serve as run

    asyncio.run(run(settings, read_again=lambda: Settings.load(**given)))  # type: ignore[arg-type] # as in _load


@app.command()
def fingerprint(data: DataOption = None, config: ConfigOption = None) -> None:
    """Print the fingerprint of this manager's own certificate.

    It is a SHA-256. 'certcast trust', wherever you work, shows the same one if it reaches this manager and nobody in between.

    Example: certcast-manager fingerprint
    """
    settings = load_owned(config=config, data=data)
    from manager.offline import own_fingerprint

    say(asyncio.run(own_fingerprint(settings)))


@app.command()
def restored(data: DataOption = None, config: ConfigOption = None) -> None:
    """Mark the store as restored from a backup.

    Run this before it is served again. It raises the epoch. A node that runs something newer than the backup then waits for an operator
    ('certcast push --force NODE') instead of losing it.
    """
    settings = load_owned(config=config, data=data)
    from manager.offline import bump_epoch

    epoch = asyncio.run(bump_epoch(settings))
    say(f"The store is now at epoch {epoch}.")


def _where(settings: Settings) -> str:
    if settings.database is None:
        return str(settings.data)
    return f"{settings.place}, and the key that opens it in {settings.data}"


def _at(data: Path | None) -> str:
    """Return the option that selects this directory, quoted for a shell; "" if it is the default."""
    return "" if data in {None, DEFAULT_DATA} else f" --data {shlex.quote(str(data))}"


def _advice(error: CertcastError) -> str:
    """Return the command that solves the problem, as the rest of its sentence; "" for most errors."""
    match error:
        case NoStoreError():
            return f"; to make one, run: certcast-manager init{_at(error.directory)}"
        case NoKeyError():
            return (
                "; if the store is in a database, restore the 'kek' file that belongs to it from its backup; "
                f"to make a new store, run: certcast-manager init{_at(error.directory)}"
            )
        case _:
            return ""


app.command()(backup)
app.command()(migrate_store)
app.command()(cluster_token)
app.command()(join_cluster)


def main() -> None:
    """Run the command; an error becomes one sentence on standard error and exit status 1."""
    try:
        app()
    except CertcastError as error:
        say(f"certcast-manager: {error.message}{_advice(error)}", err=True)
        raise SystemExit(1) from error
