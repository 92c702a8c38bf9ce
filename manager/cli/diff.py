"""`certcast certificate diff`: the differences between two certificates."""

from typing import TYPE_CHECKING, Annotated

import typer

from common.pki.expiry import UNREADABLE
from common.runtime.terminal import say
from manager.cli.naming import certificate_argument
from manager.cli.running import JsonOption, ask, present
from manager.cli.words import end_of, moment

if TYPE_CHECKING:
    from collections.abc import Sequence

    from common.api.certificates import CertificateAnswer
    from manager.cli.client import Client
    from manager.cli.output import Cell

_First = Annotated[
    int,
    certificate_argument("CERTIFICATE", "One: its number, a name of it, or how its fingerprint begins."),
]
_Second = Annotated[int, certificate_argument("OTHER", "The other, likewise.")]


def diff(context: typer.Context, certificate: _First, other: _Second, json: JsonOption = False) -> None:
    """Show the differences between two certificates.

    Subject, names, validity, key, issuer, chain of trust and nodes. What is the same in both is left out.
    With --json, both as 'certificate show --json' has them, and the fields that differ.

    Example: certcast certificate diff 3 7
    """

    async def work(client: "Client") -> tuple[bytes, bytes]:
        return (
            await client.get("certificates", str(certificate)),
            await client.get("certificates", str(other)),
        )

    answers = ask(context, work)
    import msgspec

    from common.api.certificates import CertificateAnswer
    from manager.cli.decoding import read

    one, two = (read(each, CertificateAnswer) for each in answers)
    found = differences(one, two)
    both = {
        "differs": [name for name, _, _ in found],
        "certificates": [msgspec.Raw(each) for each in answers],
    }
    present(both, lambda _: _show(one, two, found), json=json)


def _show(
    one: "CertificateAnswer", two: "CertificateAnswer", found: "Sequence[tuple[str, Cell, Cell]]"
) -> None:
    if not found:
        say(f"Certificates {one.id} and {two.id} have the same content.")
        return
    from manager.cli.output import show_table

    headings = ("", f"certificate {one.id}", f"certificate {two.id}")
    show_table(headings, found, nothing="")


def differences(one: "CertificateAnswer", two: "CertificateAnswer") -> "Sequence[tuple[str, Cell, Cell]]":
    """Return the differing facts: the name, and each certificate's value."""
    pairs: list[tuple[str, Cell, Cell]] = [
        (name, value, again) for (name, value), (_, again) in zip(_facts(one), _facts(two), strict=True)
    ]
    only_one = [name for name in one.subject_alt_names if name not in two.subject_alt_names]
    only_two = [name for name in two.subject_alt_names if name not in one.subject_alt_names]
    if only_one or only_two:
        pairs.insert(1, ("names only here", only_one or "-", only_two or "-"))
    return [each for each in pairs if each[1] != each[2]]


def _facts(each: "CertificateAnswer") -> "list[tuple[str, Cell]]":
    from manager.cli.certificate_tables import all_statuses, places

    chain = each.chain_of_trust
    links = chain.links if chain is not None else []
    return [
        ("subject", each.raw_subject or "-"),
        ("issuer", each.raw_issuer or "-"),
        ("serial number", each.serial_no),
        ("valid from", moment(None if "not_before" in each.unreadable else each.not_before_s, UNREADABLE)),
        ("valid until", moment(end_of(each), UNREADABLE)),
        ("key", f"{each.key_type} {each.key_bits}" if each.key_type == "RSA" else each.key_type or "-"),
        ("fingerprint", each.fingerprint),
        ("status", all_statuses(each)),
        ("chain of trust", [link.subject for link in links[1:]] or "-"),
        ("chain", chain.explanation if chain is not None else "-"),
        ("nodes", places(each.nodes) or "-"),
    ]
