"""Reference of findings as a document: `python -m manager.web.reference` writes docs/findings.md again.

Decides its form only; what it says is in `common.explained.statuses`, `.alarms`, `.meanings` and `.reasons`.
"""

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from common.explained.alarms import ALARM_MEANINGS
from common.explained.explanation import Explanation
from common.explained.findings import FINDINGS
from common.explained.meanings import (
    ALARM_TITLES,
    CONFIGURATION,
    CONSEQUENCES,
    DIFFERENCES,
    NODE_STATES,
    WAITS,
)
from common.explained.reasons import CLIENT_ALARMS, REASONS
from common.explained.statuses import CHAIN_STATES, STATUSES
from manager.pki.chain.chain import PROBLEM_WORDS

SECTIONS: Final[tuple[tuple[str, str, Sequence[Explanation]], ...]] = (
    (
        "Findings",
        "An error: clients refuse the certificate, or it cannot be served. A warning: some refuse it or will soon, or it is a risk. A note: none does.",
        FINDINGS,
    ),
    ("Statuses", "The specification's statuses of a certificate.", STATUSES),
    (
        "Chains of trust",
        "How good the best chain is that the upload, the trusted CAs and the built-in list allow.",
        CHAIN_STATES,
    ),
)

MEANINGS: Final[tuple[tuple[str, str, str, Mapping[str, tuple[str, str]]], ...]] = (
    (
        "Differences",
        "difference",
        "What is different in a certificate that replaces another one or answers a signing request.",
        DIFFERENCES,
    ),
    (
        "Consequences",
        "consequence",
        "What a change would mean; where that is serious, it needs confirmation.",
        CONSEQUENCES,
    ),
    (
        "Reasons",
        "reason",
        "Why something failed or was refused: in the state of a node, in alarms, in what monitoring prints, and in errors of the API.",
        REASONS,
    ),
    ("Node states", "node_state", "The state of a node: the worst that is known of it.", NODE_STATES),
    (
        "Mistakes in a configuration",
        "configuration",
        "What a node reports of its own configuration, or the manager of its own: it would fail at the next installation or start.",
        CONFIGURATION,
    ),
    (
        "Waiting reloads",
        "wait",
        "Why a service has not yet loaded what is installed.",
        WAITS,
    ),
)
"""Tables of codes that have a name and a meaning: heading, the kind that links begin with, what it is about, and its rows."""

_INTRODUCTION: Final = """\
# What findings, statuses, chains and reasons mean

For each code of a certificate: what it means, which clients refuse a server for it in their default settings, by which standard, and what to do. A
manager shows the same at `/findings`, and `certcast explain CODE` prints it. A list leads with the worst of a certificate's statuses,
chain and error findings, so *Good* stands only where clients accept it.

The clients were tried with one certificate for each row under a private CA: OpenSSL 3.0 on Debian, Chromium 156, Firefox ESR 153,
Go 1.26, Java 17, GnuTLS 3.7 and rustls 0.23. What stands here of Apple, of Windows and of public CAs is what their documentation says.
"""


def markdown() -> str:
    """Return docs/findings.md."""
    return "\n".join([_INTRODUCTION, *_lines()])


def _lines() -> Iterator[str]:
    for title, about, rows in SECTIONS:
        yield f"## {title}\n"
        yield f"{about}\n"
        yield from _table(
            ("code", "severity", "what it means", "who refuses it", "standard", "what to do"),
            (
                (
                    f'<a id="{row.anchor}"></a>`{row.code}`',
                    row.severity,
                    row.meaning,
                    row.refusal,
                    row.standard,
                    row.remedy,
                )
                for row in rows
            ),
        )
    for title, _, about, meanings in MEANINGS:
        yield f"## {title}\n"
        yield f"{about}\n"
        yield from _table(
            ("code", "what it is", "what it means"),
            ((f"`{code}`", name, meaning) for code, (name, meaning) in meanings.items()),
        )
    yield "## Alarms\n"
    yield "What an alarm says, and what to do. It ends by itself once what it says is over.\n"
    yield from _table(
        ("code", "what is wrong", "what it means"),
        ((f"`{code}`", title, ALARM_MEANINGS[code]) for code, title in ALARM_TITLES.items()),
    )
    yield "## Alarms in the existing clients' API\n"
    yield "The name of each alarm there.\n"
    yield from _table(
        ("name there", "here", "what it is"),
        (
            (
                f"`{name}`",
                ", ".join(f"`{kind}`" for kind in kinds),
                "; ".join(ALARM_TITLES[kind] for kind in kinds),
            )
            for name, kinds in CLIENT_ALARMS.items()
        ),
    )
    yield "## Problems of a chain's links\n"
    yield "The problem that is shown beside a link of a chain that is not valid (RFC 5280 6.1).\n"
    yield from _table(("code", "in words"), ((f"`{code}`", words) for code, words in PROBLEM_WORDS.items()))


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(headings)} |"
    yield "|" + "---|" * len(headings)
    for row in rows:
        yield f"| {' | '.join(cell.replace('|', '/') for cell in row)} |"
    yield ""


if __name__ == "__main__":
    sys.stdout.write(markdown())
