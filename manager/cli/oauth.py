"""`certcast oauth-client`: programs that sign in with their own key."""

from pathlib import Path
from typing import Annotated

import typer

from common.api.codes import Role
from common.errors import InvalidInputError, NotFoundError
from common.runtime.terminal import say
from manager.cli.confirming import YesOption, confirm_unless_forced
from manager.cli.running import JsonOption, ask, group, login, present, remove_named
from manager.cli.words import moment

app = group("Let programs sign in with a key of their own.")

KEY_MAX_BYTES = 8192


@app.command()
def add(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="A name for the program.")],
    role: Annotated[Role, typer.Option("--role", help="What the program may do.")],
    public_key: Annotated[
        Path, typer.Option("--public-key", metavar="FILE", help="Its public key in PEM, ECDSA P-256.")
    ],
    json: JsonOption = False,
) -> None:
    """Register a program with its public key, and print its client id.

    The program keeps the private key: openssl ecparam -name prime256v1 -genkey -noout -out client.key,
    and for this command: openssl pkey -in client.key -pubout -out client.pub

    Example: certcast oauth-client add terraform --role administrator --public-key client.pub
    """
    try:
        with public_key.open("rb") as file:
            pem = file.read(KEY_MAX_BYTES).decode()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not PEM"
        raise InvalidInputError("public-key", f"{public_key} cannot be read: {why}") from error
    if "PRIVATE KEY" in pem:
        raise InvalidInputError(
            "public-key",
            f"{public_key} holds a private key, which was not sent; 'openssl pkey -pubout' gives its public key",
        )
    from common.api.clients import NewClient

    body = NewClient(name=name, role=role, public_key=pem)
    access = login(context, needs_password=True)
    answer = ask(context, lambda client: client.post("oauth-clients", body=body))
    present(answer, lambda answer: _say_registered(answer, access.url), json=json)


def _say_registered(answer: bytes, url: str) -> None:
    from common.api.clients import ClientAnswer
    from manager.cli.decoding import read

    made = read(answer, ClientAnswer)
    say(f"Registered {made.name} ({made.role}). It asks for tokens at {url}/oauth/token/ as client")
    say("")
    say(f"  {made.client_id}")


@app.command("list")
def list_clients(context: typer.Context, json: JsonOption = False) -> None:
    """List the programs that are registered.

    Example: certcast oauth-client list
    """
    answer = ask(context, lambda client: client.get("oauth-clients"))
    present(answer, _list, json=json)


def _list(answer: bytes) -> None:
    from common.api.clients import ClientsAnswer
    from manager.cli.decoding import read
    from manager.cli.output import show_table

    rows = [
        (each.name, each.role, each.client_id, moment(each.created_at_s))
        for each in read(answer, ClientsAnswer).clients
    ]
    show_table(("program", "role", "client id", "added"), rows, nothing="No programs are registered.")


@app.command()
def remove(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The program.")],
    force: YesOption = False,
    json: JsonOption = False,
) -> None:
    """Remove a program; its tokens end.

    Example: certcast oauth-client remove terraform
    """
    if name in {"", ".", ".."}:  # they would name another path
        raise InvalidInputError("name", f"'{name}' is not a program's name")
    confirm_unless_forced(
        f"Remove the program {name}; its tokens end?",
        force=force,
        check=lambda: _check_is_there(context, name),
    )
    remove_named(context, "oauth-clients", name, json=json)


def _check_is_there(context: typer.Context, name: str) -> None:
    """Refuse a name that no program has. Raises NotFoundError."""
    from common.api.clients import ClientsAnswer
    from manager.cli.decoding import read

    answer = ask(context, lambda client: client.get("oauth-clients"))
    if all(each.name != name for each in read(answer, ClientsAnswer).clients):
        raise NotFoundError(f"there is no client '{name}'; 'certcast oauth-client list' lists them")
