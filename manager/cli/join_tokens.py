"""`certcast node join-tokens` and `revoke-join-token`: the unused join tokens."""

from typing import Annotated

import typer

from common.ids import node_name
from common.runtime.terminal import say
from manager.cli.nodes import NodeArgument
from manager.cli.running import JsonOption, ask, present
from manager.cli.words import moment


def list_tokens(context: typer.Context, json: JsonOption = False) -> None:
    """List the join tokens that can be used.

    Lists the tokens of all nodes and their creators, never the secrets.

    Example: certcast node join-tokens
    """
    answer = ask(context, lambda client: client.get("join-tokens"))
    present(answer, _list, json=json)


def _list(answer: bytes) -> None:
    from common.api.nodes import JoinTokensAnswer
    from manager.cli.decoding import read
    from manager.cli.output import show_table

    rows = [
        (
            str(each.id),
            each.node,
            each.created_by or "-",
            moment(each.created_at_s),
            moment(each.expires_at_s),
        )
        for each in read(answer, JoinTokensAnswer).join_tokens
    ]
    show_table(("id", "node", "created by", "created", "expires"), rows, nothing="There are no join tokens.")


def revoke(
    context: typer.Context,
    name: NodeArgument,
    number: Annotated[
        int, typer.Argument(metavar="ID", min=0, help="Its number in 'certcast node join-tokens'.")
    ],
    json: JsonOption = False,
) -> None:
    """Revoke an unused join token.

    Example: certcast node revoke-join-token conf1 3
    """
    where = node_name(name)
    answer = ask(context, lambda client: client.delete("nodes", where, "join-tokens", str(number)))
    present(answer, lambda _: say(f"Revoked join token {number} of {name}."), json=json)
