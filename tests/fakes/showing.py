"""Whoever shows proofs to a CA, in memory. Implements `manager.usecases.renewal.ports.Showing`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from manager.domain.renewal.records import Proof
from manager.usecases.renewal.ports import CaError, Missing


@dataclass
class ModelShowing:
    """`missing_at` says of a name who does not show its proofs now, "" if everybody does; the CA asks somebody else then. `message` is what was seen there, until `told_until_s` nodes are being told."""

    now: Callable[[], float]
    killer: Callable[[str], None] = lambda _where: None
    missing_at: Callable[[str], str] = lambda _name: ""
    message: str = "it does not answer"
    told_until_s: float = 0.0
    to_fail: list[CaError] = field(default_factory=list)
    placed: dict[str, tuple[Proof, float]] = field(default_factory=dict)
    looked: int = 0

    async def place(self, proofs: Sequence[Proof], *, until_s: float) -> None:
        self.killer("before place")
        if self.to_fail:
            raise self.to_fail.pop(0)
        for each in proofs:
            self.placed[each.token] = (each, until_s)
        self.killer("after place")

    async def missing(self, proofs: Sequence[Proof]) -> Sequence[Missing]:
        self.looked += 1
        if self.now() < self.told_until_s:
            return [Missing(where="n1", name=each.name, message="", is_being_told=True) for each in proofs]
        return [
            Missing(where=where, name=each.name, message=self.message)
            for each in proofs
            if (where := self.missing_at(each.name) or ("" if self.shows(each) else "nobody"))
        ]

    async def remove(self, proofs: Sequence[Proof]) -> None:
        self.killer("before remove")
        for each in proofs:
            self.placed.pop(each.token, None)
        self.killer("after remove")

    def shows(self, proof: Proof, at_s: float | None = None) -> bool:
        """Whether a CA that asks at a moment, or now, is shown it."""
        found, when_s = self.placed.get(proof.token), self.now() if at_s is None else at_s
        return found is not None and found[0].response == proof.response and when_s < found[1]
