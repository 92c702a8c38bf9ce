"""Removals of proofs: which are taken away just now, and which orders need theirs no more.

A CA may give the same proof to two orders, or give it once more to the next one. Invariants: what an order shows that still needs it is not taken away,
and nothing is placed while it is taken away; and of orders that end at the same time with the same proof, the last one takes it away.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from manager.domain.renewal.records import OrderId, OrderRecord, Proof

Shown = tuple[str, str]


class Removals:
    """What is in memory alone: one manager carries orders on."""

    def __init__(self) -> None:
        self._going: Counter[Shown] = Counter()
        self._let_go: set[tuple[OrderId, Shown]] = set()

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
        self._let_go -= {(order.id, _shown(each)) for each in order.proofs}

    def let_go(self, order: OrderRecord, proofs: Sequence[Proof]) -> None:
        """Let an order need these no more, from now on."""
        self._let_go |= {(order.id, _shown(each)) for each in proofs}

    def needed(self, orders: Sequence[OrderRecord]) -> set[Shown]:
        """Return what unfinished orders need; those of `orders` are all that there are."""
        ids = {each.id for each in orders}
        self._let_go = {(number, shown) for number, shown in self._let_go if number in ids}
        found = {(order.id, _shown(each)) for order in orders for each in order.proofs}
        return {shown for _, shown in found - self._let_go}

    def free(self, proofs: Sequence[Proof], orders: Sequence[OrderRecord]) -> Sequence[Proof]:
        """Return those of which no unfinished order needs the same."""
        needed = self.needed(orders)
        return [each for each in proofs if _shown(each) not in needed]


def _shown(proof: Proof) -> Shown:
    return proof.token, proof.response
