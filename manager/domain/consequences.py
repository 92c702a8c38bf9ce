"""Consequences of a planned change for clients, nodes and private keys.

Pure. Defines consequences, and which need a confirmation. `placements` and `removals` derive them from
changes; front ends present them. Invariant: the same inventory and change give the same consequences in the
same order, so that the confirmed ones can be compared with the actual ones.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from common.errors import ConflictError, Reason
from common.ids import NodeName
from common.pki.finding import Severity
from common.words import listed
from manager.domain.comparison import CertificateDifference
from manager.domain.inventory import Entry


class ConsequenceCode(StrEnum):
    """Consequences that are neither findings (`LintCode`) nor differences (`DifferenceCode`).

    Stable for machines.
    """

    NAME_MISMATCH = "name_mismatch"
    EXPIRED = "expired"
    SELF_SIGNED = "self_signed"
    KEY_REPLACED = "key_replaced"
    KEY_LOST = "key_lost"
    NODES_LEFT = "nodes_left_without"
    SLOT_TAKEN = "slot_taken"
    NODE_REMOVED = "node_removed"
    REQUEST_UNANSWERED = "request_unanswered"
    TRUST_SHRINKS = "trust_shrinks"
    UNTRUSTED = "untrusted"
    CHAIN_BROKEN = "chain_broken"
    CHAIN_KEPT = "chain_kept"
    NOT_SERVED = "not_served"
    NOT_TRUSTED = "not_trusted"
    LEFT_OUT = "left_out"
    SAME_NAME = "same_name"
    CLIENT_CA_LIST_TOO_LONG = "client_ca_list_too_long"


@dataclass(frozen=True, slots=True, kw_only=True)
class Consequence:
    """One consequence for `nodes`; `asks` says that it needs a confirmation."""

    code: str
    message: str
    severity: Severity
    asks: bool
    nodes: tuple[NodeName, ...] = ()


class ConfirmationNeededError(ConflictError):
    """Nothing was changed: the change has consequences that are not, or no longer, confirmed.

    `token` identifies exactly these consequences; sending it back confirms them.
    """

    reason = Reason.CONFIRMATION_NEEDED

    def __init__(self, consequences: Sequence[Consequence], token: str) -> None:
        self.consequences, self.token = tuple(consequences), token
        asked = " ".join(each.message for each in consequences if each.asks)
        super().__init__(f"this needs confirmation, and nothing was changed: {asked}")


def token_of(consequences: Iterable[Consequence], facts: object) -> str:
    """Return the token of these consequences of a change with these facts."""
    stated = [[each.code, each.message, sorted(each.nodes)] for each in consequences]
    return hashlib.sha256(json.dumps([stated, facts], sort_keys=True).encode()).hexdigest()[:32]


def unique(found: Iterable[Consequence]) -> list[Consequence]:
    """Return each consequence once, the most severe first."""
    order = tuple(Severity)
    once = {(each.code, each.message): each for each in found}
    return sorted(once.values(), key=lambda each: order.index(each.severity))


def ask(code: ConsequenceCode, message: str) -> Consequence:
    """Return a consequence that needs a confirmation."""
    return Consequence(code=code, message=message, severity=Severity.WARNING, asks=True)


def note(code: ConsequenceCode, message: str) -> Consequence:
    """Return a consequence for information only."""
    return Consequence(code=code, message=message, severity=Severity.NOTE, asks=False)


def of_difference(difference: CertificateDifference) -> Consequence:
    """Return the consequence of a difference between two certificates."""
    return Consequence(
        code=difference.code,
        message=difference.message,
        severity=difference.severity,
        asks=difference.severity is not Severity.NOTE,
    )


def left_without(entry: Entry, nodes: tuple[NodeName, ...]) -> Consequence:
    """Return the consequence of nodes losing a certificate."""
    verb = "loses" if len(nodes) == 1 else "lose"
    return Consequence(
        code=ConsequenceCode.NODES_LEFT,
        message=f"{listed(nodes)} {verb} {name_entry(entry)}: what is served stays until another certificate is assigned, and is no longer renewed.",
        severity=Severity.WARNING,
        asks=True,
        nodes=nodes,
    )


def short_name(entry: Entry) -> str:
    """Return a short name for an entry that is named in full nearby."""
    return f"certificate {entry.id}" if entry.id else "the certificate"


def name_entry(entry: Entry) -> str:
    """Return a name for an entry that tells it from all others."""
    name = entry.leaf.display_name
    return f"certificate {entry.id} ('{name}', fingerprint {entry.leaf.fingerprint[:16]})"
