"""A certificate's chain of trust leads to no trusted root."""

from collections.abc import Iterable
from typing import Final

from common.codes import ChainState
from manager.domain.alarms.about import about_certificate
from manager.domain.alarms.kinds import AlarmKind, Condition, Stored, stored_spec

_NO_WAY_TO_A_ROOT: Final = frozenset(
    {
        ChainState.INCOMPLETE,
        ChainState.UNDETERMINED,
        ChainState.UNTRUSTED,
        ChainState.INVALID,
        ChainState.EXPIRED,
    }
)
"""Chains that no client follows to a trusted root. A self-signed certificate has a status for this instead."""


def _find(stored: Stored) -> Iterable[Condition]:
    inventory = stored.inventory
    for entry in stored.entries:
        chain = inventory.chain(entry.id, now_s=stored.now_s)
        # an expired leaf has its own alarm
        only_leaf = chain.state is ChainState.EXPIRED and not any(link.problems for link in chain.links[1:])
        if chain.state in _NO_WAY_TO_A_ROOT and not only_leaf:
            yield about_certificate(entry, AlarmKind.CHAIN_INCOMPLETE, chain.explanation)


SPEC: Final = stored_spec(AlarmKind.CHAIN_INCOMPLETE, 2, "error", _find)
