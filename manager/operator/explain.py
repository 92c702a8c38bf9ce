"""Explanations of findings, statuses and chain states, from the table that comes with the command."""

from typing import TYPE_CHECKING, Annotated

import typer

from common.errors import NotFoundError
from manager.operator.running import say, say_raw

if TYPE_CHECKING:
    from common.pki.explanation import Explanation


def explain(
    code: Annotated[
        str | None, typer.Argument(metavar="CODE", help="A finding's, status's or chain's code; all if none.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the rows as JSON.")] = False,
) -> None:
    """Say what a finding, a status or a chain's state means.

    It tells which clients refuse a certificate for it, by which standard, and what to do. A manager shows all of it at /findings.

    Example: certcast explain no_san
    """
    # the table is large, and nothing else of the command needs it
    import msgspec

    from common.pki.explained_findings import FINDINGS
    from common.pki.explanations import CHAIN_STATES, STATUSES
    from manager.operator.output import show_pairs, show_table

    rows = (*FINDINGS, *STATUSES, *CHAIN_STATES)
    wanted = code.strip().lower() if code is not None else None
    found = [row for row in rows if wanted is None or row.code == wanted]
    if not found:
        raise NotFoundError(f"there is no code '{(code or '')[:40]}'; 'certcast explain' lists all")
    if json:
        say_raw(
            msgspec.json.encode([{"kind": row.kind, "anchor": row.anchor, **_facts(row)} for row in found])
        )
        return
    if wanted is None:
        cells = [(row.kind, row.code.value, row.severity.value, row.title) for row in rows]
        show_table(("kind", "code", "severity", "means"), cells, nothing="")
        return
    for row in found:
        show_pairs([(name.replace("_", " "), text) for name, text in _facts(row).items()])
        if row is not found[-1]:
            say("")


def _facts(row: "Explanation") -> dict[str, str]:
    return {
        "code": f"{row.code}",
        "is_a": {"finding": "finding", "status": "status", "chain": "chain's state"}[row.kind],
        "severity": f"{row.severity}",
        "title": row.title,
        "means": row.meaning,
        "refused_by": row.refusal,
        "standard": row.standard,
        "what_to_do": row.remedy,
    }
