"""`certcast-manager`: prepare a manager, add its first user, and run it.

Works on the data directory itself, so it is for the machine the manager runs on; everything else is `certcast`'s.
"""

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import typer

from common.errors import CertcastError
from common.runtime import log as logs
from manager.domain.model import Role
from manager.settings import DEFAULT_CONFIG, DEFAULT_DATA, DEFAULT_HTTPS, DEFAULT_SSH, Settings

FIRST_STEPS = f"""Certcast keeps the TLS certificates of a fleet in one place, and every node's copy right.

The first steps, on this machine:

  1. certcast-manager init --data {DEFAULT_DATA}
       makes the store, its keys, and a temporary certificate for this manager
  2. certcast-manager serve
       serves https on {DEFAULT_HTTPS} and the nodes' channel on {DEFAULT_SSH}; the first time it prints a link
       that makes the first administrator in a browser ('certcast-manager user add' does so without one)

Then, from anywhere:  certcast --url https://THIS-HOST --user admin node add NODE-NAME
It prints what to run on the node. 'certcast-manager COMMAND --help' tells more of each step.
"""

app = typer.Typer(
    help="Prepare and run a Certcast manager.",
    no_args_is_help=False,
    pretty_exceptions_enable=False,
    add_completion=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
users = typer.Typer(help="Add and list those who may sign in.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(users, name="user")

DataOption = Annotated[
    Path | None,
    typer.Option("--data", metavar="DIR", help=f"The manager's directory. [default: {DEFAULT_DATA}]"),
]
ConfigOption = Annotated[
    Path | None, typer.Option("--config", metavar="FILE", help=f"A TOML file. [default: {DEFAULT_CONFIG}]")
]


@app.callback(invoke_without_command=True)
def explain(context: typer.Context) -> None:
    """Explain the first steps when called without a command."""
    logs.configure(level="warning")  # `serve` sets up its own
    if context.invoked_subcommand is None:
        typer.echo(FIRST_STEPS)


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
    from manager.app import initialise

    settings = Settings.load(config=config, data=data)
    typer.echo("Making keys and a temporary certificate (a few seconds) ...", err=True)
    asyncio.run(initialise(settings, names=tuple(name or ()), addresses=tuple(address or ())))
    typer.echo(
        f"Ready: {settings.data}. Next: certcast-manager serve --data {settings.data}, and open the link that it prints"
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
    from manager.app import add_user

    settings = Settings.load(config=config, data=data)
    asyncio.run(add_user(settings, name=name, role=role, password=_password(from_stdin=password_stdin)))
    typer.echo(f"Added {name} ({role}).")


@users.command("password")
def user_password(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Whose password.")],
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the password from standard input.")
    ] = False,
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """Replace a user's password, for example a forgotten one.

    Example: certcast-manager user password admin
    """
    from manager.app import set_password

    settings = Settings.load(config=config, data=data)
    asyncio.run(set_password(settings, name=name, password=_password(from_stdin=password_stdin)))
    typer.echo(f"{name} has a new password.")


@users.command("list")
def user_list(data: DataOption = None, config: ConfigOption = None) -> None:
    """List those who may sign in."""
    from manager.app import list_users

    for user in asyncio.run(list_users(Settings.load(config=config, data=data))):
        typer.echo(f"{user.name}\t{user.role}")


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
    from manager.app import serve as run

    settings = Settings.load(
        config=config,
        data=data,
        https=https,
        ssh=ssh,
        advertise=tuple(advertise) if advertise else None,
        log_level=log_level,
    )
    asyncio.run(run(settings))


@app.command()
def restored(data: DataOption = None, config: ConfigOption = None) -> None:
    """Say that this store was restored from a backup.

    To be run before it is served again. Raises the epoch. A node that runs something newer than the backup then waits for an operator
    ('certcast push --force NODE') instead of losing it.
    """
    from manager.app import bump_epoch

    epoch = asyncio.run(bump_epoch(Settings.load(config=config, data=data)))
    typer.echo(f"The store is now at epoch {epoch}.")


def _password(*, from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True))


def main() -> None:
    """Run the command; what goes wrong is one sentence on standard error and exit status 1."""
    try:
        app()
    except CertcastError as error:
        typer.echo(f"certcast-manager: {error.message}", err=True)
        raise SystemExit(1) from error
