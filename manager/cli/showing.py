"""One certificate or trusted CA as text, PEM, or a table of everything about it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import typer

from common.runtime.terminal import say_document
from manager.cli.running import ask, only_one_form, present

if TYPE_CHECKING:
    from rich.console import RenderableType


@dataclass(frozen=True, slots=True, kw_only=True)
class Forms:
    """The forms in which it can be shown; `text` is openssl's, and `table` is made on demand."""

    text: str | None
    pem: str | None
    table: "Callable[[], RenderableType]"


def show_one(
    context: typer.Context,
    path: tuple[str, ...],
    decode: Callable[[bytes], Forms],
    *,
    text: bool,
    pem: bool,
    json: bool,
) -> None:
    """Get the entry at this path, and print it in the chosen form."""
    only_one_form(text=text, pem=pem, json=json)
    answer = ask(context, lambda client: client.get(*path))
    present(answer, lambda answer: _print_form(decode(answer), text=text, pem=pem), json=json)


def _print_form(forms: Forms, *, text: bool, pem: bool) -> None:
    if text or pem:
        say_document((forms.text if text else forms.pem) or "")
        return
    from manager.cli.output import console

    console().print(forms.table())
