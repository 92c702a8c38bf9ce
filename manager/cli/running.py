"""Common parts of the commands: their options, asking the manager, and printing its answer.

Decides nothing about any one resource. Heavy libraries are imported when a request is made, not for `--help`.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from common.errors import InvalidInputError
from common.runtime.terminal import say, say_json
from common.text import printable
from manager.cli.access import Access, Options
from manager.cli.guided import GuidedGroup

if TYPE_CHECKING:
    from manager.cli.client import Client

T = TypeVar("T")

JsonOption = Annotated[
    bool, typer.Option("--json", help="Print the manager's answer as JSON; '-o json' does the same.")
]
ReplaceOption = Annotated[bool, typer.Option("--force", help="Replace a file that exists already.")]
OutputOption = Annotated[
    str | None,
    typer.Option(
        "--output", metavar="FILE", help="Where to write it: a file, a directory, or - for standard output."
    ),
]
PassphraseStdinOption = Annotated[
    bool,
    typer.Option(
        "--passphrase-stdin", help="Read the private key's passphrase from a line of standard input."
    ),
]
AskPassphraseOption = Annotated[
    bool,
    typer.Option("--ask-passphrase", help="The private key is encrypted: ask for its passphrase."),
]
TextOption = Annotated[bool, typer.Option("--text", help="Print it as 'openssl x509 -text' does.")]
PemOption = Annotated[bool, typer.Option("--pem", help="Print its PEM text as it was given.")]


def group(text: str) -> typer.Typer:
    """Return a group of commands."""
    return typer.Typer(
        cls=GuidedGroup, help=text, no_args_is_help=True, rich_markup_mode=None, add_completion=False
    )


def login(context: typer.Context, *, needs_password: bool = False) -> Access:
    """Resolve the credentials, once. Raises InvalidInputError.

    A command's other standard input comes after the password.
    """
    if isinstance(context.obj, Options):
        context.obj = context.obj.resolve(needs_password=needs_password)
    if not isinstance(context.obj, Access):
        raise TypeError("the global options were not read")
    return context.obj


def ask(
    context: typer.Context, work: Callable[["Client"], Awaitable[T]], *, needs_password: bool = False
) -> T:
    """Do some work with the manager. Raises CertcastError."""
    access = login(context, needs_password=needs_password)

    async def run() -> T:
        from manager.cli.client import Client

        async with Client(access) as client:
            return await work(client)

    return asyncio.run(run())


def remove_named(context: typer.Context, resource: str, name: str, *, json: bool) -> None:
    """Remove the entry with this name, and say so. Raises CertcastError."""
    answer = ask(context, lambda client: client.delete(resource, name))
    present(answer, lambda _: say(f"Removed {name}."), json=json)


def confirm(question: str) -> bool:
    """Ask a question at the terminal, on standard error."""
    return typer.confirm(printable(question), err=True)  # noqa: TID251 - this is the place that asks


def only_one_form(**forms: bool) -> None:
    """Refuse more than one option for the form of output. Raises InvalidInputError."""
    if len(given := [f"--{name}" for name, chosen in forms.items() if chosen]) > 1:
        raise InvalidInputError(given[0], f"{' and '.join(given)} exclude each other; leave one out")


def present(answer: T, human: Callable[[T], object], *, json: bool) -> None:
    """Print a command's result, as JSON or by `human`. Results that are not the manager's answer are encoded."""
    if not json:
        human(answer)
    elif isinstance(answer, bytes):
        say_answer(answer)
    else:
        import msgspec

        say_answer(msgspec.json.encode(answer))


def say_answer(answer: bytes) -> None:
    """Print the manager's answer: the same JSON, harmless to a terminal."""
    if answer:
        say_json(answer.decode(errors="replace"))
