"""Options of the commands that add and edit certificates."""

from typing import Annotated

import typer

from common.codes import Slot
from manager.cli.completion import node_names

CertificateOption = Annotated[
    str,
    typer.Option(
        "--certificate", metavar="FILE", help="PEM: the certificate, and its chain; - is standard input."
    ),
]
KeyOption = Annotated[
    str | None,
    typer.Option(
        "--key",
        metavar="FILE",
        help="PEM: the private key, if it is not in the certificate's file; - is standard input.",
    ),
]
ParametersOption = Annotated[
    str | None, typer.Option("--parameters", metavar="FILE", help="PEM: DH or EC parameters.")
]
EditCertificateOption = Annotated[
    str | None,
    typer.Option(
        "--certificate",
        metavar="FILE",
        help="PEM, DER, PKCS#7 or PKCS#12: the certificate and its chain, replacing the present ones; - is standard input.",
    ),
]
EditParametersOption = Annotated[
    str | None,
    typer.Option("--parameters", metavar="FILE", help="PEM: DH or EC parameters; - is standard input."),
]
NoParametersOption = Annotated[bool, typer.Option("--no-parameters", help="Remove its DH or EC parameters.")]
KeptNodesOption = Annotated[
    list[str] | None,
    typer.Option(
        "--node",
        metavar="NAME",
        help="A node that gets or keeps it; may be repeated. It is removed from all others.",
        autocompletion=node_names,
    ),
]
NoNodesOption = Annotated[bool, typer.Option("--no-nodes", help="Take it from all nodes.")]
NoteOption = Annotated[
    str | None,
    typer.Option("--note", metavar="TEXT", help="A note for people, which every user can read; '' for none."),
]
NodesOption = Annotated[
    list[str] | None,
    typer.Option(
        "--node", metavar="NAME", help="A node that gets it; may be repeated.", autocompletion=node_names
    ),
]
SlotOption = Annotated[
    Slot, typer.Option("--slot", metavar="SLOT", help="The node's slot: server or client.")
]
