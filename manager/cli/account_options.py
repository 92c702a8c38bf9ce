"""Options and arguments of `certcast account`, and the account that a person means."""

from typing import TYPE_CHECKING, Annotated

import typer

from common.errors import InvalidInputError
from common.explained.cas import KNOWN_CAS
from manager.cli.running import ask

if TYPE_CHECKING:
    from collections.abc import Sequence

    from common.api.accounts import AccountAnswer
    from manager.cli.client import Client

    Accounts = Sequence[AccountAnswer]

_NO_SUCH = "'certcast account list' lists them"


async def find_accounts(client: "Client") -> "Accounts":
    """Return all accounts. Raises CertcastError."""
    from common.api.accounts import AccountsAnswer
    from manager.cli.decoding import read

    return read(await client.get("accounts"), AccountsAnswer).accounts


def meant(wanted: str, accounts: "Accounts") -> int:
    """Return the number of the account with this number or name; names are unique. Raises InvalidInputError."""
    named = [each.id for each in accounts if each.name == wanted]
    numbered = [each.id for each in accounts if str(each.id) == wanted]
    for number in (*named, *numbered):
        return number
    raise InvalidInputError("account", f"there is no account '{wanted}'; {_NO_SUCH}")


def resolve_account(context: typer.Context, value: str | None) -> int | None:
    """Turn a typed name or number into an account's number. Raises InvalidInputError."""
    if value is None or context.resilient_parsing:
        return None
    return meant(value.strip(), ask(context, find_accounts))


AccountArgument = Annotated[
    int,
    typer.Argument(
        metavar="ACCOUNT", help="Which: its name, or its number.", parser=str, callback=resolve_account
    ),
]
AccountOption = Annotated[
    int | None,
    typer.Option(
        "--account",
        metavar="ACCOUNT",
        help="The account at the CA to order with: its name, or its number.",
        parser=str,
        callback=resolve_account,
    ),
]
DirectoryOption = Annotated[
    str,
    typer.Option(
        "--directory",
        metavar="URL",
        help=f"The CA's ACME directory: https://..., or {' or '.join(sorted(KNOWN_CAS))}.",
    ),
]
NewDirectoryOption = Annotated[
    str | None,
    typer.Option(
        "--directory",
        metavar="URL",
        help="The CA's ACME directory, as for 'add'; it stays once the account is registered.",
    ),
]
NewNameOption = Annotated[str | None, typer.Option("--name", metavar="NAME", help="What you call it now.")]
NoStagingOption = Annotated[bool, typer.Option("--no-staging", help="Test orders nowhere.")]
NoContactOption = Annotated[bool, typer.Option("--no-contact", help="Leave the CA no address.")]
NoTrustedCaOption = Annotated[
    bool, typer.Option("--no-trusted-ca", help="Verify the directory's own certificate with public CAs.")
]
NoEabOption = Annotated[bool, typer.Option("--no-eab", help="Register without external account binding.")]
StagingOption = Annotated[
    str | None,
    typer.Option(
        "--staging", metavar="URL", help="The directory of the CA's staging environment, for test orders."
    ),
]
ContactOption = Annotated[
    list[str] | None,
    typer.Option("--contact", metavar="MAIL", help="Where the CA reaches you; may be given more than once."),
]
TrustedCaOption = Annotated[
    str | None,
    typer.Option(
        "--trusted-ca",
        metavar="FILE",
        help="PEM: the CAs that the directory's own certificate is verified with, in place of public ones.",
    ),
]
EabIdOption = Annotated[
    str | None,
    typer.Option(
        "--eab-id",
        metavar="ID",
        help="The key identifier that the CA gave you for external account binding; its key is asked for.",
    ),
]
EabKeyFileOption = Annotated[
    str | None,
    typer.Option(
        "--eab-key-file",
        metavar="FILE",
        help="A file with the key for --eab-id, base64url; - is standard input.",
    ),
]
AgreeOption = Annotated[
    bool, typer.Option("--agree-to-terms", help="Agree to the CA's terms of service without a question.")
]
