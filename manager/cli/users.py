"""`certcast user` and `certcast token`: users, their roles and their API tokens."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from common.api.codes import Role, Scope
from common.errors import InvalidInputError, NotFoundError
from common.runtime.terminal import say
from manager.cli.access import prompt, read_line
from manager.cli.completion import user_names
from manager.cli.confirming import YesOption, confirm_unless_forced
from manager.cli.running import JsonOption, ask, group, login, present, remove_named
from manager.cli.words import moment

if TYPE_CHECKING:
    from common.api.users import ListedToken
    from manager.cli.client import Client

users = group("Add, list and remove those who may sign in.")
tokens = group("API tokens, for programs.")


@users.command("add")
def add_user(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The name to sign in with.")],
    role: Annotated[Role, typer.Option("--role", help="What the user may do.")],
    new_password_stdin: Annotated[
        bool,
        typer.Option(
            "--new-password-stdin", help="Read the new user's password from a line of standard input."
        ),
    ] = False,
    json: JsonOption = False,
) -> None:
    """Add a user. The password is asked for, or read with --new-password-stdin.

    Example: certcast user add anna --role operator
    """
    login(context, needs_password=True)
    if new_password_stdin:
        password = read_line("the new password (--new-password-stdin)")
    else:
        password = prompt(f"New password of {name}", instead="--new-password-stdin", confirm=True)
    from common.api.users import NewUser

    body = NewUser(name=name, role=role, password=password)
    answer = ask(context, lambda client: client.post("users", body=body))
    present(answer, lambda _: say(f"Added {name} ({role})."), json=json)


@users.command("list")
def list_users(context: typer.Context, json: JsonOption = False) -> None:
    """List the users who may sign in.

    Example: certcast user list
    """
    answer = ask(context, lambda client: client.get("users"))
    present(answer, _list, json=json)


def _list(answer: bytes) -> None:
    from common.api.users import UsersAnswer
    from manager.cli.decoding import read
    from manager.cli.output import show_table

    rows = [(user.name, user.role, moment(user.created_at_s)) for user in read(answer, UsersAnswer).users]
    show_table(("user", "role", "added"), rows, nothing="No users.")


@users.command("remove")
def remove_user(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The user.", autocompletion=user_names)],
    force: YesOption = False,
    json: JsonOption = False,
) -> None:
    """Remove a user, with its tokens and programs.

    The user's API tokens and unused join tokens become invalid, and the programs that the user registered are
    removed.

    Example: certcast user remove anna
    """
    check_name(name)
    login(context, needs_password=True)
    confirm_unless_forced(
        f"Remove the user {name} with all tokens?", force=force, check=lambda: _check_is_there(context, name)
    )
    remove_named(context, "users", name, json=json)


@users.command("role")
def set_role(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The user.", autocompletion=user_names)],
    role: Annotated[Role, typer.Argument(metavar="ROLE", help="read-only, operator or administrator.")],
    json: JsonOption = False,
) -> None:
    """Change a user's role, at once; the user's tokens end.

    Example: certcast user role anna administrator
    """
    check_name(name)
    from common.api.users import NewRole

    body = NewRole(role=role)
    answer = ask(context, lambda client: client.put("users", name, "role", body=body), needs_password=True)
    present(answer, lambda _: say(f"{name} is now {role}."), json=json)


@tokens.command("create")
def create_token(
    context: typer.Context,
    label: Annotated[str, typer.Option("--label", metavar="LABEL", help="What it is for.")],
    days: Annotated[
        int, typer.Option("--days", metavar="N", min=1, help="How long it is valid: a year at most.")
    ] = 90,
    scope: Annotated[
        Scope | None,
        typer.Option(
            "--scope",
            help="What it may do; push-only: push and watch; provisioning: join tokens too. By default, whatever you may do.",
        ),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Create an API token. This needs your password: no token can create another.

    It is shown once. Give it to programs as CERTCAST_TOKEN. It ends when your password or your role changes.

    Example: certcast token create --label backup --days 30 --scope read-only
    """
    from common.api.users import NewToken

    body = NewToken(label=label, days=days, scope=scope)
    answer = ask(context, lambda client: client.post("tokens", body=body), needs_password=True)
    present(answer, _say_created, json=json)


def _say_created(answer: bytes) -> None:
    from common.api.users import TokenAnswer
    from manager.cli.decoding import read

    made = read(answer, TokenAnswer)
    say(f"Valid until {moment(made.expires_at_s)}; it is not shown again:", err=True)
    say(made.token)


@tokens.command("list")
def list_tokens(
    context: typer.Context,
    everybody: Annotated[
        bool, typer.Option("--all", help="List the tokens of all users; this needs the role administrator.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """List the API tokens that are still valid.

    Lists your own or, for administrators, all users' tokens, with their last use to within five minutes.

    Example: certcast token list --all
    """
    answer = ask(context, lambda client: client.get("tokens", query=_query(everybody=everybody)))
    present(answer, lambda answer: _list_tokens(answer, everybody=everybody), json=json)


def _list_tokens(answer: bytes, *, everybody: bool) -> None:
    from common.api.users import TokensAnswer
    from manager.cli.decoding import read
    from manager.cli.output import show_table

    rows = [
        (
            str(each.id),
            *((each.user,) if everybody else ()),
            each.label or "-",
            each.scope or "-",
            moment(each.expires_at_s),
            "never"
            if each.last_used_at_s is None
            else f"{moment(each.last_used_at_s)} from {each.last_source or '?'}",
        )
        for each in read(answer, TokensAnswer).tokens
    ]
    heads = ("id", *(("user",) if everybody else ()), "label", "scope", "expires", "last used")
    show_table(heads, rows, nothing="No tokens." if everybody else "You have no tokens.")


@tokens.command("revoke")
def revoke_token(
    context: typer.Context,
    token: Annotated[
        str,
        typer.Argument(metavar="TOKEN", help="Its number in 'certcast token list', or its label."),
    ],
    everybody: Annotated[
        bool, typer.Option("--all", help="Search the tokens of all users, as an administrator.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Revoke an API token.

    Revokes one of your own or, for administrators, any user's.

    Example: certcast token revoke backup
    """

    async def work(client: "Client") -> "tuple[bytes, ListedToken]":
        from common.api.users import TokensAnswer
        from manager.cli.decoding import read

        listed = await client.get("tokens", query=_query(everybody=everybody))
        found = _the_token(token, read(listed, TokensAnswer).tokens)
        return await client.delete("tokens", str(found.id)), found

    answer, found = ask(context, work)
    whose = f" of {found.user}" if everybody else ""
    done = f"Revoked token {found.id}{whose} ({found.label or '-'})."
    present(answer, lambda _: say(done), json=json)


def _query(*, everybody: bool) -> "dict[str, str] | None":
    return {"all": "true"} if everybody else None


def _the_token(wanted: str, tokens: "Sequence[ListedToken]") -> "ListedToken":
    """Return the token with this number or label. Raises InvalidInputError."""
    found = [each for each in tokens if str(each.id) == wanted] or [
        each for each in tokens if each.label == wanted
    ]
    if not found:
        raise InvalidInputError(
            "token", f"there is no token '{wanted}' here; 'certcast token list' shows yours"
        )
    if len(found) > 1:
        numbers = ", ".join(str(each.id) for each in found)
        raise InvalidInputError("token", f"several tokens are called '{wanted}': say which of {numbers}")
    return found[0]


def _check_is_there(context: typer.Context, name: str) -> None:
    """Refuse a name that no user has. Raises NotFoundError."""
    from common.api.users import UsersAnswer
    from manager.cli.decoding import read

    answer = ask(context, lambda client: client.get("users"))
    if all(each.name != name for each in read(answer, UsersAnswer).users):
        raise NotFoundError(f"there is no user '{name}'; 'certcast user list' lists them")


def check_name(name: str) -> None:
    """Refuse a name that would lead to another path. Raises InvalidInputError."""
    if name in {"", ".", ".."}:
        raise InvalidInputError("name", f"'{name}' is not a user's name")
