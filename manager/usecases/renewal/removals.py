"""Removals of proofs: which are taken away just now, and which orders need theirs no more.

A CA may give the same proof to two orders, or give it once more to the next one. Invariants: what an order shows that still needs it is not taken away,
and nothing is placed while it is taken away; and of orders that end at the same time with the same proof, the last one takes it away.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from manager.domain.renewal.records import OrderId, OrderRecord, Proof

Shown = tuple[str, str]

LET_GO_MOST: Final = 10_000
"""Proofs that orders need no more, and that are remembered, the latest: those of a hundred orders of a hundred names, more than end at the same time."""


class Removals:
    """What is in memory alone: one manager carries orders on."""

    def __init__(self) -> None:
        self._going: Counter[Shown] = Counter()
        self._let_go: dict[tuple[OrderId, Shown], None] = {}

    @contextmanager
    def going(self, proofs: Sequence[Proof]) -> Iterator[None]:
        """Tell that these are taken away meanwhile; who needs them is to be asked after this."""
        shown = Counter(_shown(each) for each in proofs)
        self._going += shown
        try:
            yield
        finally:
            self._going -= shown

    def are_going(self, proofs: Sequence[Proof]) -> bool:
        """Whether one of these is taken away just now, so that it cannot be placed yet."""
        return any(_shown(each) in self._going for each in proofs)

    def need(self, order: OrderRecord) -> None:
        """Let an order need what it shows, again."""
        for each in order.proofs:
            self._let_go.pop((order.id, _shown(each)), None)

    def delete_or_retire(self, order: OrderRecord, proofs: Sequence[Proof]) -> None:
        """Let an order need these no more, from now on."""
        self._let_go |= {(order.id, _shown(each)): None for each in proofs}
        for former in list(self._let_go)[:-LET_GO_MOST]:
            del self._let_go[former]

    def free(
        self, proofs: Sequence[Proof], unfinished: Sequence[OrderRecord], *, of: OrderId | None
    ) -> Sequence[Proof]:
        """Return those of which no unfinished order needs the same, but for the one `of` which they are."""
        shown = {(order.id, _shown(each)) for order in unfinished if order.id != of for each in order.proofs}
        needed = {each for _, each in shown - self._let_go.keys()}
        return [each for each in proofs if _shown(each) not in needed]


def _shown(proof: Proof) -> Shown:
    return proof.token, proof.response
