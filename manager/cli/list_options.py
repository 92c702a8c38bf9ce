"""Options of the command that lists certificates."""

from typing import Annotated

import typer

from common.api.codes import CertificateOrder, StatusCode
from common.limits import PAGE_MAX
from manager.cli.completion import node_names

SearchOption = Annotated[
    str | None,
    typer.Option(
        "--search",
        metavar="TEXT",
        help="Only those with this text in a name, issuer, serial number or fingerprint.",
    ),
]
StatusOption = Annotated[StatusCode | None, typer.Option("--status", help="Only those with this status.")]
NodeOption = Annotated[
    str | None,
    typer.Option("--node", metavar="NAME", help="Only those that this node has.", autocompletion=node_names),
]
FittingOption = Annotated[
    str | None,
    typer.Option(
        "--fitting",
        metavar="NAME",
        help="List those first that are valid for all names of this node.",
        autocompletion=node_names,
    ),
]
UnassignedOption = Annotated[bool, typer.Option("--unassigned", help="Only those that no node has.")]
OrderOption = Annotated[CertificateOrder, typer.Option("--order", help="What to sort by.")]
ReverseOption = Annotated[bool, typer.Option("--reverse", help="Reverse the order.")]
LimitOption = Annotated[
    int, typer.Option("--limit", metavar="N", min=1, max=PAGE_MAX, help="How many to list at most.")
]
EverythingOption = Annotated[bool, typer.Option("--all", help="List all of them.")]
ByNodeOption = Annotated[
    bool, typer.Option("--by-node", help="List nodes instead, with the certificate of each slot.")
]
