"""What the commands share: their options, asking the manager, and printing its answer.

Decides nothing about any one resource. Heavy libraries are imported when a request is made, not for `--help`.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from manager.operator.access import Access, Options
from manager.operator.words import clean

if TYPE_CHECKING:
    from manager.operator.client import Client

T = TypeVar("T")

JsonOption = Annotated[bool, typer.Option("--json", help="Print the manager's answer as it is.")]
ForceOption = Annotated[bool, typer.Option("--force", help="Delete it even where it is in use.")]


def group(text: str) -> typer.Typer:
    """Return a group of commands."""
    return typer.Typer(help=text, no_args_is_help=True, rich_markup_mode=None, add_completion=False)


def login(context: typer.Context) -> Access:
    """Settle the credentials, once; what else a command reads from standard input comes after the password.

    Raises InvalidInputError.
    """
    if isinstance(context.obj, Options):
        context.obj = context.obj.resolve()
    if not isinstance(context.obj, Access):
        raise TypeError("the global options were not read")
    return context.obj


def ask(context: typer.Context, work: Callable[["Client"], Awaitable[T]]) -> T:
    """Do some work with the manager. Raises CertcastError."""
    access = login(context)

    async def run() -> T:
        from manager.operator.client import Client

        async with Client(access) as client:
            return await work(client)

    return asyncio.run(run())


def say(text: str) -> None:
    """Print a line for people; whatever the manager or a node wrote in it cannot drive the terminal."""
    typer.echo("\n".join(clean(line) for line in text.split("\n")))


def say_raw(answer: bytes) -> None:
    """Print an answer as it came."""
    if answer:
        typer.echo(answer.decode().rstrip("\n"))
