"""Headline of a certificate: the one thing that a list should say first.

Decides between the specification's statuses, the chain's state and what was found besides: the worst leads, and Good stands only where
nothing is found that any client refuses. The specification's statuses themselves stay as they are in `status`.
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
    """What to say first, how bad that is, and the code of its row in the table of explanations."""

    text: str
    severity: Severity
    code: StatusCode | ChainState | LintCode


def headline(statuses: Sequence[Status], chain: ChainState, findings: Sequence[Finding]) -> Headline:
    """Return the worst of statuses, chain and findings; of equally bad ones the first in that order.

    A note refuses nothing, so it never takes the place of Good; a warning does, since some clients refuse what has one.
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
    # what never reaches a node leads before what its clients would say of it
    return min(
        candidates, key=lambda each: (_ORDER.index(each.severity), each.code is not LintCode.UNLOADABLE)
    )
