"""Headline of a certificate: the one thing that a list should say first.

Decides between the specification's statuses, the chain's state and other findings: the worst comes first, and
Good appears only if no finding makes any client refuse the certificate. `status` has the specification's
statuses unchanged.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from common.codes import ChainState, StatusCode
from common.explained.statuses import explain
from common.pki.finding import Finding, LintCode, Severity
from manager.pki.judge.status import Status

_ORDER: Final = tuple(Severity)


@dataclass(frozen=True, slots=True)
class Headline:
    """What to say first, its severity, and the code of its explanation."""

    text: str
    severity: Severity
    code: StatusCode | ChainState | LintCode


def headline(statuses: Sequence[Status], chain: ChainState, findings: Sequence[Finding]) -> Headline:
    """Return the worst of statuses, chain and findings; of equally bad ones, the first in that order.

    A note makes no client refuse, so it never replaces Good. A warning does, since some clients refuse then.
    """
    candidates = [Headline(each.text, explain(each.code).severity, each.code) for each in statuses]
    # a self-signed certificate's status says so already
    if chain not in {ChainState.COMPLETE, ChainState.SELF_SIGNED}:
        candidates.append(Headline(explain(chain).title, explain(chain).severity, chain))
    candidates += [
        Headline(explain(each.code).title, each.severity, each.code)
        for each in findings
        if each.severity is not Severity.NOTE and each.code is not LintCode.CHAIN
    ]
    # what keeps a certificate from nodes comes before what clients would say about it
    return min(
        candidates, key=lambda each: (_ORDER.index(each.severity), each.code is not LintCode.UNLOADABLE)
    )
