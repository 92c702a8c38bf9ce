"""Removals of proofs: which are being removed, and which orders no longer need theirs.

A CA may give the same proof to two orders, or to an order and the next one. Invariants: a proof that a
running order needs is not removed, and none is placed while it is being removed. Of concurrent orders with
the same proof, the last one removes it.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from manager.domain.renewal.records import OrderId, OrderRecord, Proof

Shown = tuple[str, str]

LET_GO_MOST: Final = 10_000
"""Remembered proofs that orders no longer need: those of a hundred orders with a hundred names each."""


class Removals:
    """Removals in progress. In memory only, since one manager runs all orders."""

    def __init__(self) -> None:
        self._going: Counter[Shown] = Counter()
        self._let_go: dict[tuple[OrderId, Shown], None] = {}

    @contextmanager
    def going(self, proofs: Sequence[Proof]) -> Iterator[None]:
        """Mark proofs as being removed; check which orders need them only after this."""
        shown = Counter(_shown(each) for each in proofs)
        self._going += shown
        try:
            yield
        finally:
            self._going -= shown

    def are_going(self, proofs: Sequence[Proof]) -> bool:
        """Whether one of these proofs is being removed, so that it cannot be placed yet."""
        return any(_shown(each) in self._going for each in proofs)

    def need(self, order: OrderRecord) -> None:
        """Mark an order as needing its proofs again."""
        for each in order.proofs:
            self._let_go.pop((order.id, _shown(each)), None)

    def release(self, order: OrderRecord, proofs: Sequence[Proof]) -> None:
        """Mark an order as no longer needing these proofs."""
        self._let_go |= {(order.id, _shown(each)): None for each in proofs}
        for former in list(self._let_go)[:-LET_GO_MOST]:
            del self._let_go[former]

    def free(
        self, proofs: Sequence[Proof], unfinished: Sequence[OrderRecord], *, of: OrderId | None
    ) -> Sequence[Proof]:
        """Return the proofs that no unfinished order except `of` needs."""
        shown = {(order.id, _shown(each)) for order in unfinished if order.id != of for each in order.proofs}
        needed = {each for _, each in shown - self._let_go.keys()}
        return [each for each in proofs if _shown(each) not in needed]


def _shown(proof: Proof) -> Shown:
    return proof.token, proof.response
