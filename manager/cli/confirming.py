"""Confirmation of changes: shows the consequences that the manager returned, and asks at the terminal.

Asks only at a terminal, and only without --force. Invariant: a confirmation is for the consequences that were
shown; if they have changed meanwhile, they are shown and confirmed again.
"""

import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Final, TypeVar

import typer

from common.runtime.terminal import say
from manager.cli.failures import ApiRefusedError, consequence_line
from manager.cli.running import ask, confirm

if TYPE_CHECKING:
    from common.api.deletions import ToDelete
    from common.api.errors import ConsequenceAnswer
    from common.api.values import RequestBody
    from manager.cli.client import Client

B = TypeVar("B", bound="RequestBody")

YesOption = Annotated[
    bool,
    typer.Option("--force", help="Do not ask for confirmation, whatever the consequences."),
]
ReplaceKeyOption = Annotated[
    bool,
    typer.Option(
        "--replace",
        help="Replace the certificate with the same issuer and serial number even if its private key differs and is lost.",
    ),
]

REPLACED: Final = "key_replaced"
_CONFLICT: Final = "identity_conflict"

Work = Callable[["Client", dict[str, str]], Awaitable[bytes]]
"""Sends a change with its confirmation, as fields of the body or query."""


def ask_confirmed(
    context: typer.Context, work: Work, *, force: bool, replaces: bool | None = None, confirmed: str = ""
) -> bytes:
    """Make a change, and confirm it if needed. Raises CertcastError; ApiRefusedError if the answer is no.

    `replaces` is whether --replace was given, None for a change that never replaces a private key.
    `confirmed` is the token of consequences that were confirmed already.
    """
    may_replace = replaces is not None
    if force:
        return _hinted(context, work, {}, may_replace=may_replace)
    confirm = confirmed
    while True:
        try:
            return _hinted(context, work, {"confirm": confirm}, may_replace=may_replace)
        except ApiRefusedError as error:
            if error.token is None:
                raise
            option = "--replace" if not replaces and _replaces_key(error.consequences) else "--force"
            if not can_ask():
                raise error.with_hint(f"to confirm, repeat it with {option}") from error
            if not _is_confirmed(error.consequences):
                raise ApiRefusedError("nothing was changed", status=error.status, code=error.code) from error
            confirm = error.token


def send_confirmed(
    context: typer.Context,
    body: B,
    send: "Callable[[Client, B], Awaitable[bytes]]",
    *,
    force: bool,
    replaces: bool | None = None,
) -> bytes:
    """Send a body that has a field `confirm`, and confirm it if needed. Raises as `ask_confirmed` does."""
    from msgspec.structs import replace

    return ask_confirmed(
        context,
        lambda client, confirm: send(client, replace(body, **confirm)),
        force=force,
        replaces=replaces,
    )


def delete_confirmed(context: typer.Context, resource: str, body: "ToDelete") -> bytes:
    """Delete all of these or none, and confirm it if needed. Raises as `ask_confirmed` does."""
    return send_confirmed(
        context,
        body,
        lambda client, confirmed: client.post(resource, "delete", body=confirmed),
        force=body.force,
    )


def confirm_unless_forced(question: str, *, force: bool, check: Callable[[], None]) -> None:
    """Confirm a change that can be undone, at a terminal only; scripts are not asked. Raises ApiRefusedError.

    `check` raises before the question if the change cannot succeed.
    """
    if force or not can_ask():
        return
    check()
    if not confirm(question):
        raise ApiRefusedError("nothing was changed", status=0)


def confirm_for_good(question: str, consequences: Sequence[str], *, force: bool) -> None:
    """Show the consequences of a change that cannot be undone, and confirm it at the terminal.

    Raises ApiRefusedError, also if there is no terminal.
    """
    if force:
        return
    for each in consequences:
        say(each, err=True)
    if not can_ask():
        raise ApiRefusedError(
            "this cannot be undone, and nothing was changed; to confirm, repeat it with --force", status=0
        )
    if not confirm(question):
        raise ApiRefusedError("nothing was changed", status=0)


def can_ask() -> bool:
    """Whether there is a terminal to ask at."""
    return sys.stdin.isatty()


def show_consequences(found: Sequence["ConsequenceAnswer"]) -> None:
    """Print a change's expected consequences on standard error."""
    for each in found:
        say(consequence_line(each), err=True)


def say_consequences(found: Sequence["ConsequenceAnswer"]) -> None:
    """Print the consequences of a completed change."""
    for each in found:
        say(f"  {consequence_line(each)}")


def _hinted(context: typer.Context, work: Work, confirmation: dict[str, str], *, may_replace: bool) -> bytes:
    try:
        return ask(context, lambda client: work(client, confirmation))
    except ApiRefusedError as error:
        if error.code == _CONFLICT and may_replace:
            raise error.with_hint("use --replace to replace it") from error
        raise


def _replaces_key(found: Sequence["ConsequenceAnswer"]) -> bool:
    return any(each.code == REPLACED for each in found)


def _is_confirmed(found: Sequence["ConsequenceAnswer"]) -> bool:
    show_consequences(found)
    return confirm("Continue anyway?")
