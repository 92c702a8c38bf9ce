"""Search for the culprit: which parts of a bundle are held back, in turn, after a service did not take it.

Decides from what the services that failed use, from what a reload of theirs does to people, and from the parts whose copies
could not be written. Leaves each attempt to the installer, which brings it to its own end before the next begins.
Invariant: a service whose reload people notice is not reloaded a second time for the search; and the search is short.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final

from common.bundle.parts import Part
from nodeagent.core.services import Consumer

ATTEMPTS_MAX: Final = 6
"""Each of three parts, and each two of them: a bundle has no more ways to go live in part."""

_ORDER: Final[tuple[Part, ...]] = ("trust", "client", "server")
"""What is most likely to be to blame, and least missed, comes first."""


@dataclass(frozen=True, slots=True)
class Suspects:
    """Who did not take an attempt. `unwritten` are the parts of the copies that could not be written: no search is needed."""

    consumers: tuple[Consumer, ...] = ()
    unwritten: frozenset[Part] = frozenset()

    def may_be(self, part: Part) -> bool:
        """Whether a part that is the only one to change is to blame."""
        return part in self.unwritten or not self.unwritten


def hold_back_next(
    changed: Collection[Part], held: frozenset[Part], suspects: Suspects
) -> tuple[frozenset[Part], ...]:
    """Return the sets of parts to hold back next, one attempt each, after the attempt without those `held` failed.

    `changed` are the parts that the bundle would change; each set leaves at least one of them.
    """
    left = frozenset(changed) - held
    if suspects.unwritten:
        sets: list[frozenset[Part]] = [suspects.unwritten & left]
    else:
        sets = _by_use(left, suspects.consumers)
    return tuple(held | one for one in sets if one and one < left)


def _by_use(left: frozenset[Part], failed: Iterable[Consumer]) -> list[frozenset[Part]]:
    failed = tuple(failed)
    used = left & {use for consumer in failed for use in consumer.uses}
    if len(used) > 1 and all(_is_unnoticed(consumer) for consumer in failed):
        return [*(frozenset({part}) for part in _ORDER if part in used), used]
    return [used]


def _is_unnoticed(consumer: Consumer) -> bool:
    return consumer.impact == "none" and consumer.min_interval_s == 0
