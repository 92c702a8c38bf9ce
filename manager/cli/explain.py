"""Explanations of all codes that are shown anywhere, from the tables that come with the command."""

import difflib
from typing import TYPE_CHECKING, Annotated, Final

import typer

from common.errors import NotFoundError
from common.runtime.terminal import say
from manager.cli.running import present

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from common.explained.explanation import Explanation

_MEANT: Final = {
    "name_mismatch": "node_name_mismatch",
    "certificate_expiring": "expiring",
    "ca_expiring": "expiring",
    "certificate_expired": "expired",
    "ca_expired": "expired",
    "chain_incomplete": "incomplete",
    "certificate_held_out": "unloadable",
    "trusted_ca_held_out": "unloadable",
    "must_staple_unproven": "must_staple",
}
"""Alarm kinds whose cause has its own code with a better explanation."""


def explain(
    code: Annotated[
        str | None,
        typer.Argument(
            metavar="CODE",
            help="A code of a finding, status, chain, node state, alarm, reason, configuration, or of a consequence. Without it, all are listed.",
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the rows as JSON.")] = False,
) -> None:
    """Explain a code of a finding, node, alarm or failure.

    For a finding: which clients refuse a certificate for it, by which standard, and what to do. A manager
    shows the same at /findings.

    Example: certcast explain no_san
    """
    # the table is large, and no other command needs it
    from common.explained.findings import FINDINGS
    from common.explained.statuses import CHAIN_STATES, STATUSES

    rows = (*FINDINGS, *STATUSES, *CHAIN_STATES)
    wanted = code.strip().lower().replace("-", "_").replace(" ", "_") if code is not None else None
    found = [row for row in rows if wanted is None or row.code == _MEANT.get(wanted, wanted)]
    of_nodes = _of_nodes(wanted)
    if not found and not of_nodes:
        raise NotFoundError(_unknown(wanted or "", [*(row.code for row in rows), *_node_codes(), *_MEANT]))
    show = _list if wanted is None else _describe
    present(_entries(found, of_nodes), lambda _: show(found, of_nodes), json=json)


def _entries(
    found: "Sequence[Explanation]", of_nodes: "Sequence[dict[str, str]]"
) -> "Sequence[Mapping[str, str]]":
    """Return explanations as objects for programs, each with its anchor in the document of findings."""
    known = [{"kind": row.kind, "anchor": row.anchor, **_facts(row)} for row in found]
    kinds = [each["is_a"].replace("'", "").replace(" ", "_") for each in of_nodes]
    others = [
        {"kind": kind, "anchor": f"{kind}-{each['code']}", **each}
        for kind, each in zip(kinds, of_nodes, strict=True)
    ]
    return [*known, *others]


def _list(found: "Sequence[Explanation]", of_nodes: "Sequence[dict[str, str]]") -> None:
    from manager.cli.output import show_table

    cells = [(row.kind, row.code.value, row.severity.value, row.title) for row in found]
    cells += [(each["is_a"], each["code"], "-", each["title"]) for each in of_nodes]
    show_table(("kind", "code", "severity", "means"), cells, nothing="")


def _describe(found: "Sequence[Explanation]", of_nodes: "Sequence[dict[str, str]]") -> None:
    from manager.cli.output import show_pairs

    for number, facts in enumerate([*map(_facts, found), *of_nodes]):
        if number:
            say("")
        show_pairs([(name.replace("_", " "), text) for name, text in facts.items()])


def _of_nodes(wanted: str | None) -> "Sequence[dict[str, str]]":
    """Explain a code that is not a certificate finding; None for every code."""
    from common.explained.alarms import ALARM_MEANINGS
    from common.explained.meanings import (
        ALARM_TITLES,
        CONFIGURATION,
        CONSEQUENCES,
        DIFFERENCES,
        NODE_STATES,
        WAITS,
    )
    from common.explained.reasons import CLIENT_ALARMS, REASONS

    meanings: dict[str, Mapping[str, tuple[str, str]]] = {
        "node state": NODE_STATES,
        "reason": REASONS,
        "difference": DIFFERENCES,
        "consequence": CONSEQUENCES,
        "configuration": CONFIGURATION,
        "wait": WAITS,
    }
    others = [
        {"code": f"{code}", "is_a": kind, "title": title, "means": meaning}
        for kind, rows in meanings.items()
        for code, (title, meaning) in rows.items()
    ]
    alarms = [
        {"code": code, "is_a": "alarm", "title": title, "means": ALARM_MEANINGS[code]}
        for code, title in ALARM_TITLES.items()
    ]
    alarms += [
        {
            "code": code,
            "is_a": "existing clients' alarm",
            "title": "; ".join(ALARM_TITLES[kind] for kind in kinds),
            "means": f"What the existing clients' API calls {' and '.join(kinds)}; each is explained under that name.",
        }
        for code, kinds in CLIENT_ALARMS.items()
    ]
    return [each for each in (*others, *alarms) if wanted is None or each["code"] == wanted]


def _node_codes() -> list[str]:
    return [each["code"] for each in _of_nodes(None)]


def _unknown(wanted: str, known: "Collection[str]") -> str:
    near = difflib.get_close_matches(wanted[:40], dict.fromkeys(known)) if wanted else []
    hint = (
        f"the nearest are {', '.join(near)}; "
        if len(near) > 1
        else f"did you mean {near[0]}? "
        if near
        else ""
    )
    return f"there is no code '{wanted[:40]}'; {hint}'certcast explain' lists all"


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
