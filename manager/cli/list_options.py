"""Options of the command that lists certificates."""

from typing import Annotated

import typer

from common.api.codes import Order, StatusCode
from common.limits import PAGE_MAX
from manager.cli.completion import node_names

SearchOption = Annotated[
    str | None,
    typer.Option(
        "--search",
        metavar="TEXT",
        help="Those with this in a name, issuer, serial number or fingerprint.",
    ),
]
StatusOption = Annotated[StatusCode | None, typer.Option("--status", help="Those with this status.")]
NodeOption = Annotated[
    str | None,
    typer.Option("--node", metavar="NAME", help="Those that a node has.", autocompletion=node_names),
]
FittingOption = Annotated[
    str | None,
    typer.Option(
        "--fitting",
        metavar="NAME",
        help="First those that are valid for all names of a node.",
        autocompletion=node_names,
    ),
]
UnassignedOption = Annotated[bool, typer.Option("--unassigned", help="Those that no node has.")]
OrderOption = Annotated[Order, typer.Option("--order", help="By what to order.")]
ReverseOption = Annotated[bool, typer.Option("--reverse", help="In the other direction.")]
LimitOption = Annotated[
    int, typer.Option("--limit", metavar="N", min=1, max=PAGE_MAX, help="How many to list at most.")
]
EverythingOption = Annotated[bool, typer.Option("--all", help="List all of them.")]
ByNodeOption = Annotated[
    bool, typer.Option("--by-node", help="List nodes instead, with the certificate of each slot.")
]
