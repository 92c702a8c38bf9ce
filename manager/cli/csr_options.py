"""Options of the commands that make and answer signing requests."""

from typing import Annotated

import typer

from common.api.codes import KeyKind

SubjectOption = Annotated[
    str | None,
    typer.Option("--subject", metavar="DN", help="The subject, such as 'CN=conf.example.com,O=Example'."),
]
NamesOption = Annotated[
    list[str] | None,
    typer.Option(
        "--name",
        metavar="NAME",
        help="A subject alternative name: host name, IP address, URI or email address; may be repeated.",
    ),
]
OnlyNamesOption = Annotated[
    bool,
    typer.Option(
        "--only-these-names", help="Ask for the names in --name only, not for those of the certificate."
    ),
]
KeyTypeOption = Annotated[
    KeyKind | None,
    typer.Option(
        "--key-type",
        help="The new key; by default like that of the certificate to be replaced, otherwise RSA2048.",
    ),
]
KeyOption = Annotated[
    str | None,
    typer.Option(
        "--key", metavar="FILE", help="PEM: a private key of your own instead; - is standard input."
    ),
]
AdCompatibleOption = Annotated[
    bool,
    typer.Option("--ad-compatible", help="Name the template WebServer, as Microsoft's CA wants it."),
]
ServerAuthOption = Annotated[
    bool | None,
    typer.Option("--server-auth/--no-server-auth", help="For a TLS server; yes by default."),
]
ClientAuthOption = Annotated[
    bool | None,
    typer.Option(
        "--client-auth/--no-client-auth",
        help="For a TLS client; no by default, unless it replaces one in a client slot.",
    ),
]
FilesArgument = Annotated[
    list[str],
    typer.Argument(
        metavar="FILE",
        help="PEM, DER, PKCS#7 or PKCS#12: the signed certificate, and its chain; - is standard input.",
    ),
]
TakeOverOption = Annotated[
    bool, typer.Option("--take-over", help="Assign it to all nodes of the certificate that it replaces.")
]
