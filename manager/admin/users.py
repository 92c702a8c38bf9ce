"""`certcast-manager user`: the machine's administrator adds users and replaces their passwords."""

import asyncio
import sys
from typing import Annotated

import typer

from common.codes import Role
from common.runtime.terminal import say, say_columns
from manager.admin.options import ConfigOption, DataOption, Group, load_owned

PasswordStdinOption = Annotated[
    bool, typer.Option("--password-stdin", help="Read the password from standard input.")
]

users = typer.Typer(
    cls=Group,
    help="Add and list users, and replace their passwords.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@users.command("add")
def user_add(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What the user signs in with.")],
    role: Annotated[Role, typer.Option(help="What the user may do.")] = Role.READ_ONLY,
    password_stdin: PasswordStdinOption = False,
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """Add a user. The password is asked for, or read with --password-stdin.

    Example: echo "$PASSWORD" | certcast-manager user add admin --role administrator --password-stdin
    """
    settings = load_owned(config=config, data=data)
    from manager.offline import add_user

    asyncio.run(add_user(settings, name=name, role=role, password=_password(from_stdin=password_stdin)))
    say(f"Added {name} ({role}).")


@users.command("password")
def user_password(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Whose password.")],
    password_stdin: PasswordStdinOption = False,
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """Replace a user's password, for example a lost one.

    Run it as root on the manager's machine; the manager may keep running. The old password is not asked for; the user's sessions and
    tokens end. 'certcast-manager user list' lists the names. If nobody is an administrator any more, add one: 'certcast-manager user add
    NAME --role administrator'.

    Example: certcast-manager user password admin
    """
    settings = load_owned(config=config, data=data)
    from manager.offline import set_password

    asyncio.run(set_password(settings, name=name, password=_password(from_stdin=password_stdin)))
    say(f"{name} has a new password.")


@users.command("list")
def user_list(data: DataOption = None, config: ConfigOption = None) -> None:
    """List those who may sign in."""
    settings = load_owned(config=config, data=data)
    from manager.offline import list_users

    for user in asyncio.run(list_users(settings)):
        say_columns(user.name, user.role)


def _password(*, from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True))  # noqa: TID251 - asks for a secret
