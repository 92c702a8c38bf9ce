"""Options and arguments of `certcast renewal`, and the renewal that a person means.

Invariant: where words could name several renewals, none is chosen, and all of them are told.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Final

import typer

from common.api.codes import Challenge, KeyKind, Slot
from common.errors import InvalidInputError
from manager.cli.completion import certificate_names, node_names
from manager.cli.naming import resolve_certificate
from manager.cli.running import ask

if TYPE_CHECKING:
    from common.api.renewals import RenewalAnswer
    from manager.cli.client import Client

_NO_SUCH: Final = "'certcast renewal list' lists them"
_WHICH: Final = "its number in 'certcast renewal list', or a name of its certificate"


async def find_renewals(client: "Client") -> "Sequence[RenewalAnswer]":
    """Return all renewals. Raises CertcastError."""
    from common.api.renewals import RenewalsAnswer
    from manager.cli.decoding import read

    return read(await client.get("renewals"), RenewalsAnswer).renewals


def meant(wanted: str, renewals: "Sequence[RenewalAnswer]", *, by_certificate: bool = False) -> int:
    """Return the number of the renewal with this number, or name, or certificate's number if `by_certificate`.

    Raises InvalidInputError.
    """
    name = wanted.strip().lower()
    numbers = {str(each.certificate if by_certificate else each.id): each.id for each in renewals}
    if name in numbers:
        return numbers[name]
    found = [each for each in renewals if name and name in _names(each)]
    if len(found) == 1:
        return found[0].id
    if not found and by_certificate:
        raise InvalidInputError("certificate", _unrenewed(wanted, renewals))
    if not found:
        raise InvalidInputError("renewal", f"no renewal is called '{wanted}'; {_NO_SUCH}")
    candidates = "; ".join(
        f"{each.id} (certificate {'not there yet' if each.certificate is None else each.certificate})"
        for each in found
    )
    raise InvalidInputError(
        "renewal", f"{len(found)} renewals are called '{wanted}', say which: {candidates}"
    )


def _names(each: "RenewalAnswer") -> set[str]:
    return {known.lower() for known in (each.subject_name, *each.ordered_names)}


def _unrenewed(wanted: str, renewals: "Sequence[RenewalAnswer]") -> str:
    """Say that a certificate has no renewal; if a renewal has its number, also say which certificate that renews."""
    if not (number := wanted.strip()).isdecimal():
        return f"no renewal is set up for '{wanted}'; set one up: certcast renewal set --certificate CERTIFICATE --account ACCOUNT"
    none = f"certificate {number} has no renewal"
    set_up = f"certcast renewal set --certificate {number} --account ACCOUNT"
    own = next((each for each in renewals if str(each.id) == number), None)
    if own is None:
        return f"{none}; set one up: {set_up}"
    if own.certificate is not None:
        of, called = f"certificate {own.certificate}", str(own.certificate)
    else:
        of, called = "a certificate that is not there yet", next(iter(own.ordered_names), "CERTIFICATE")
    return (
        f"{none} (set one up: {set_up}); renewal {number} is for {of} (to renew it: certcast renew {called})"
    )


def resolve_renewal(context: typer.Context, value: str | None) -> int | None:
    """Turn a typed number or name into a renewal's number. Raises InvalidInputError."""
    if value is None or context.resilient_parsing:
        return None
    return meant(value, ask(context, find_renewals))


def resolve_renewed(context: typer.Context, value: str | None) -> int | None:
    """Turn a certificate's number or name into its renewal's number. Raises InvalidInputError."""
    if value is None or context.resilient_parsing:
        return None
    return meant(value, ask(context, find_renewals), by_certificate=True)


RenewedArgument = Annotated[
    int,
    typer.Argument(
        metavar="CERTIFICATE",
        help="Which: its number in the list, or a name of it.",
        parser=str,
        callback=resolve_renewed,
        autocompletion=certificate_names,
    ),
]
RenewalArgument = Annotated[
    int,
    typer.Argument(
        metavar="RENEWAL",
        help=f"Which: {_WHICH}.",
        parser=str,
        callback=resolve_renewal,
        autocompletion=certificate_names,
    ),
]
ChangedRenewalArgument = Annotated[
    int | None,
    typer.Argument(
        metavar="RENEWAL",
        help=f"The one to change: {_WHICH}. Leave it out to set one up.",
        parser=str,
        callback=resolve_renewal,
        autocompletion=certificate_names,
    ),
]
RenewedOption = Annotated[
    int | None,
    typer.Option(
        "--certificate",
        metavar="CERTIFICATE",
        help="Set one up for this certificate; its names are ordered.",
        parser=str,
        callback=resolve_certificate,
        autocompletion=certificate_names,
    ),
]
ByRequestOption = Annotated[
    bool,
    typer.Option(
        "--by-request",
        help="Order nothing: open a signing request in time, for a CA that is reached by email or a form.",
    ),
]
SendToOption = Annotated[
    str | None,
    typer.Option(
        "--send-to", metavar="WHO", help="With --by-request: the person or address to send the request to."
    ),
]
ChallengeOption = Annotated[
    Challenge | None,
    typer.Option("--challenge", help="How names are proven; by the nodes themselves (http-01) if not given."),
]
ProfileOption = Annotated[
    str | None,
    typer.Option(
        "--profile", metavar="NAME", help="A profile of the CA: 'certcast account show ACCOUNT --offers'."
    ),
]
PreferredChainOption = Annotated[
    str | None,
    typer.Option(
        "--preferred-chain", metavar="ROOT", help="The Common Name of the root at which the chain must end."
    ),
]
KeyTypeOption = Annotated[
    KeyKind | None,
    typer.Option(
        "--key-type", help="The new key's type; by default as strong as the certificate's present key."
    ),
]
KeepKeyOption = Annotated[
    bool | None,
    typer.Option("--keep-key/--new-key", help="Keep the certificate's key, or make a new one each time."),
]
NamesOption = Annotated[
    list[str] | None,
    typer.Option(
        "--name",
        metavar="NAME",
        help="Order for exactly these names: host names or IP addresses; may be given more than once.",
    ),
]
OwnNamesOption = Annotated[
    bool,
    typer.Option("--certificate-names", help="Order for the certificate's names, also after they change."),
]
NodeNamesOption = Annotated[
    bool,
    typer.Option(
        "--node-names", help="Order for the certificate's names and those of the nodes that have it."
    ),
]
NodesOption = Annotated[
    list[str] | None,
    typer.Option(
        "--node",
        metavar="NODE",
        help="A node that gets the first certificate for new names; may be given more than once.",
        autocompletion=node_names,
    ),
]
SlotOption = Annotated[
    Slot | None, typer.Option("--slot", help="The nodes' slot for it: server if not given.")
]
PausedOption = Annotated[
    bool,
    typer.Option("--paused", help="Order nothing yet: 'certcast renewal test' tries it, 'resume' begins."),
]
WaitOption = Annotated[bool, typer.Option("--wait", help="Wait for the end, and show each step.")]
TimeoutOption = Annotated[
    float, typer.Option("--timeout", metavar="SECONDS", min=1, help="The longest that --wait waits.")
]
