"""One certificate or trusted CA, as `show` draws it. Pure: depends on the answer and the given time."""

import re
from collections.abc import Mapping
from typing import Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from common.api.certificates import CertificateAnswer, ChainAnswer
from common.api.trust import TrustedCaAnswer
from common.pki.expiry import UNREADABLE
from manager.cli import output
from manager.cli.certificate_tables import (
    FOLDED,
    HINT,
    Row,
    Stored,
    add_code,
    all_statuses,
    ca_kind,
    ca_statuses,
    is_coded,
    places,
)
from manager.cli.words import end_of, moment, until

CHAIN_HEADINGS: Final = ("", "chain of trust", "from", "expires", "problems")

_SOURCES: Final[Mapping[str, str]] = {
    "leaf": "this certificate",
    "uploaded": "came with it",
    "intermediate": "trusted CAs",
    "trusted": "trusted root",
}

_SEARCHED: Final = "there is no way to a trusted root"
_NO_ROOT: Final = frozenset({"incomplete", "untrusted", "undetermined", "self_signed"})
_LABEL: Final = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----")


def describe_certificate(found: CertificateAnswer, now_s: float) -> Group:
    """Return everything known about a certificate."""
    chain = found.chain_of_trust
    parts: list[RenderableType] = [output.pairs(_facts(found, chain, now_s))]
    if chain is not None and chain.links:
        parts += [Text(""), output.table(CHAIN_HEADINGS, _links(chain, now_s), folded=FOLDED)]
    return Group(*parts)


def describe_ca(found: TrustedCaAnswer, now_s: float) -> Table:
    """Return everything known about a trusted CA."""
    rows: list[tuple[str, output.Cell]] = [
        ("id", str(found.id)),
        ("subject", found.raw_subject or found.subject_name),
        ("issuer", found.raw_issuer or found.issuer_name),
        ("serial number", found.serial_no),
        ("valid", _validity(found, now_s)),
        ("fingerprint", found.fingerprint),
        ("status", "unusable" if found.faults else ca_statuses(found)),
        ("kind", ca_kind(found)),
    ]
    if found.held_out:
        rows.append(("held out", f"nodes do not get it, because OpenSSL cannot load it: {found.held_out}"))
    if found.faults:
        rows.append(("why", f"clients accept nothing that it signed: {', '.join(found.faults)}"))
    return output.pairs(rows)


def _facts(
    found: CertificateAnswer, chain: ChainAnswer | None, now_s: float
) -> list[tuple[str, output.Cell]]:
    key = f"{found.key_type} {found.key_bits}" if found.key_type == "RSA" else found.key_type
    explanation = chain.explanation if chain is not None else ""
    findings = [
        add_code(each.message, each.code) for each in found.findings or () if each.message != explanation
    ]
    facts: list[tuple[str, output.Cell]] = [
        ("id", str(found.id)),
        ("subject", found.raw_subject or "-"),
        ("issuer", found.raw_issuer or "-"),
        ("serial number", found.serial_no),
        ("names", ", ".join(found.subject_alt_names) or "-"),
        ("key", key or "-"),
        ("valid", _validity(found, now_s)),
        ("fingerprint", found.fingerprint),
        ("parameters", ", ".join(_LABEL.findall(found.parameters or "")) or "-"),
        ("nodes", places(found.nodes) or "-"),
        ("note", (found.note or "-").split("\n")),
        ("status", all_statuses(found)),
        ("chain", explanation or "-"),
        _verdict(chain),
        ("findings", [*findings, *([HINT] if is_coded(findings) else [])] or "-"),
    ]
    if found.undecodable:
        facts.append(("undecodable", ", ".join(found.undecodable)))
    if found.oddities:
        facts.append(("encoding", list(found.oddities)))
    return facts


def _validity(found: Stored, now_s: float) -> str:
    begins_s = None if "not_before" in found.unreadable else found.not_before_s
    ends_s = end_of(found)
    left = f" ({until(ends_s, now_s)})" if ends_s is not None else ""
    return f"{moment(begins_s, UNREADABLE)} to {moment(ends_s, UNREADABLE)}{left}"


def _links(chain: ChainAnswer, now_s: float) -> list[Row]:
    rows: list[Row] = [
        (
            str(number),
            link.subject,
            _SOURCES.get(link.source, link.source),
            until(end_of(link), now_s),
            ", ".join(link.problems).replace("_", " ") or "-",
        )
        for number, link in enumerate(chain.links, start=1)
    ]
    if chain.missing_issuer:
        missing = Text("not found", style="bold red")
        rows.append(("?", chain.missing_issuer, missing, "-", "add it: certcast ca add"))
    return rows


def _verdict(chain: ChainAnswer | None) -> tuple[str, str]:
    is_client = chain is not None and chain.purpose == "client"
    asked = "strict server" if is_client else "strict client"
    if chain is None or not chain.strict_client:
        return asked, "-" if chain is None else f"accepts it{' from a client' if is_client else ''}"
    # where there is no root, the verifier's own words tell only how it searched
    return asked, f"refuses it: {chain.strict_client if chain.state not in _NO_ROOT else _SEARCHED}"
