"""Entries by name: the one that a person means by a number, a name or the beginning of a fingerprint.

Decides when words name exactly one. Invariant: where they could name several, nothing is chosen, and all of
them are told.
"""

import re
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from common.errors import InvalidInputError
from common.ids import ID_DIGITS_MAX
from common.pki.expiry import UNREADABLE
from manager.cli.completion import certificate_names
from manager.cli.running import ask

if TYPE_CHECKING:
    from common.api.certificates import CertificateAnswer
    from common.api.signing_requests import RequestAnswer
    from common.api.trust import TrustedCaAnswer
    from manager.cli.client import Client

    Entry = CertificateAnswer | RequestAnswer | TrustedCaAnswer

FINGERPRINT_MIN: Final = 4
CANDIDATES_MAX: Final = 10
FOUND_MAX: Final = 1000

_HEX: Final = re.compile(rf"[0-9a-f]{{{FINGERPRINT_MIN},64}}")

_Find = Callable[["Client", str], Awaitable[Sequence["Entry"]]]


def matching(wanted: str, entries: Sequence["Entry"]) -> Sequence["Entry"]:
    """Return the entries with this name, otherwise those whose fingerprint begins with it.

    Temporary certificates count only if no other entry matches, because each node's real one has the same
    name.
    """
    words = wanted.strip().lower()
    named = [each for each in entries if words in _names(each)]
    lasting = [each for each in named if "temporary" not in _codes(each)]
    if named:
        return lasting or named
    digits = words.replace(":", "")
    if not _HEX.fullmatch(digits):
        return []
    return [each for each in entries if str(getattr(each, "fingerprint", "")).startswith(digits)]


def single_id(kind: str, wanted: str, entries: Sequence["Entry"]) -> int:
    """Return the id of the one entry that is meant. Raises InvalidInputError."""
    found = matching(wanted, entries)
    if len(found) == 1:
        return found[0].id
    if not found:
        raise InvalidInputError(
            "id",
            f"no {kind} is called '{wanted}': give a number of the list, a whole name, or a fingerprint's beginning",
        )
    candidates = "; ".join(f"{each.id} {_described(each)}" for each in found[:CANDIDATES_MAX])
    more = f"; and {len(found) - CANDIDATES_MAX} more" if len(found) > CANDIDATES_MAX else ""
    raise InvalidInputError(
        "id", f"{len(found)} {kind}s are called '{wanted}', say which: {candidates}{more}"
    )


async def find_certificates(client: "Client", wanted: str) -> Sequence["Entry"]:
    """Return the certificates that may be meant. Raises CertcastError."""
    from common.api.certificates import CertificatesAnswer
    from manager.cli.decoding import read

    query = {"search": wanted.strip().replace(":", "") if _is_fingerprint(wanted) else wanted.strip()}
    answer = await client.get("certificates", query={**query, "limit": str(FOUND_MAX)})
    return read(answer, CertificatesAnswer).certificates


async def find_cas(client: "Client", _wanted: str) -> Sequence["Entry"]:
    """Return all trusted CAs. Raises CertcastError."""
    from common.api.trust import TrustedCasAnswer
    from manager.cli.decoding import read

    return read(await client.get("trusted-cas"), TrustedCasAnswer).trusted_cas


async def find_csrs(client: "Client", _wanted: str) -> Sequence["Entry"]:
    """Return all signing requests. Raises CertcastError."""
    from common.api.signing_requests import RequestsAnswer
    from manager.cli.decoding import read

    return read(await client.get("requests"), RequestsAnswer).requests


def _resolver(kind: str, find: _Find) -> Callable[[typer.Context, Any], Any]:
    """Return a parameter's callback that turns names into numbers; it asks the manager only for non-numbers."""

    def number(context: typer.Context, wanted: str) -> int:
        if (
            wanted.isascii() and wanted.isdecimal() and len(wanted) <= ID_DIGITS_MAX
        ):  # longer ones may begin a fingerprint
            return int(wanted)
        if not wanted.strip():
            raise InvalidInputError("id", f"an empty name is no {kind}")

        async def work(client: "Client") -> int:
            return single_id(kind, wanted, await find(client, wanted))

        return ask(context, work)

    def resolve(context: typer.Context, value: Any) -> Any:
        if value is None or context.resilient_parsing:
            return value
        if isinstance(value, str):
            return number(context, value)
        return [number(context, each) for each in value]

    return resolve


resolve_certificate: Final = _resolver("certificate", find_certificates)
_CA: Final = _resolver("trusted CA", find_cas)
_CSR: Final = _resolver("request", find_csrs)
_WHICH: Final = "its number in the list, a name of it, or how its fingerprint begins"


def certificate_argument(metavar: str, help_text: str) -> Any:
    """Return an argument for certificates, by number, name, or the beginning of a fingerprint."""
    return typer.Argument(
        metavar=metavar,
        help=help_text,
        parser=str,
        callback=resolve_certificate,
        autocompletion=certificate_names,
    )


CertificateArgument = Annotated[int, certificate_argument("CERTIFICATE", f"Which: {_WHICH}.")]
CertificatesArgument = Annotated[list[int], certificate_argument("CERTIFICATE", f"One or more: {_WHICH}.")]
CertificateOption = Annotated[
    int | None,
    typer.Option(
        "--certificate",
        metavar="CERTIFICATE",
        help="The certificate to replace; options that are not given are taken from it.",
        parser=str,
        callback=resolve_certificate,
        autocompletion=certificate_names,
    ),
]
CaArgument = Annotated[int, typer.Argument(metavar="CA", help=f"Which: {_WHICH}.", parser=str, callback=_CA)]
CasArgument = Annotated[
    list[int], typer.Argument(metavar="CA", help=f"One or more: {_WHICH}.", parser=str, callback=_CA)
]
CsrArgument = Annotated[
    int,
    typer.Argument(
        metavar="REQUEST",
        help="Which: its number in 'certcast csr list', or a name of it.",
        parser=str,
        callback=_CSR,
    ),
]


def _names(each: "Entry") -> set[str]:
    alternatives: tuple[str, ...] = getattr(each, "subject_alt_names", ())  # a trusted CA's are of no use
    names = (each.subject_name, each.raw_subject, *alternatives)
    return {name.lower() for name in names if name}


def _codes(each: "Entry") -> set[str]:
    return {status.code for status in getattr(each, "statuses", None) or ()}


def _described(each: "Entry") -> str:
    from manager.cli.words import display_name, moment, short

    # a request has no end
    expires_at_s, until = getattr(each, "not_after_s", None), ""
    if expires_at_s is not None:
        is_read = "not_after" not in getattr(each, "unreadable", ())
        until = f", expires {moment(expires_at_s)[:10] if is_read else UNREADABLE}"
    leaf = getattr(each, "fingerprint", "")
    return f"({display_name(each)}{until}{f', {short(leaf)}' if leaf else ''})"


def _is_fingerprint(wanted: str) -> bool:
    return _HEX.fullmatch(wanted.strip().lower().replace(":", "")) is not None
