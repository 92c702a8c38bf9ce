"""Search for the culprit: which parts of a bundle are held back, in turn, after a service refused it.

Decides from what the services that failed use, and from what a reload of theirs does to people. Leaves each attempt to
the installer, which brings it to its own end before the next begins.
Invariant: a service whose reload people notice is not reloaded a second time for the search; and the list is short.
"""

from collections.abc import Collection, Iterable
from typing import Final

from common.bundle.parts import Part
from nodeagent.core.services import Consumer

ATTEMPTS_MAX: Final = 3
"""Two services' parts one by one, and both together; or each of three parts."""

_ORDER: Final[tuple[Part, ...]] = ("trust", "client", "server")
"""What is most likely to be to blame, and least missed, comes first."""


def hold_back_in_turn(changed: Collection[Part], failed: Iterable[Consumer]) -> tuple[frozenset[Part], ...]:
    """Return the sets of parts to hold back, one attempt each, until one is taken.

    `changed` are the parts that the bundle would change, `failed` the services that did not take it.
    """
    failed = tuple(failed)
    uses = {use for consumer in failed for use in consumer.uses}
    suspects = [part for part in _ORDER if part in changed and part in uses]
    if not suspects:
        return ()
    turns = []
    if len(suspects) > 1 and all(_is_unnoticed(consumer) for consumer in failed):
        turns = [frozenset({part}) for part in suspects]
    if len(suspects) < len(changed):
        turns.append(frozenset(suspects))
    return tuple(turns)


def _is_unnoticed(consumer: Consumer) -> bool:
    return consumer.impact == "none" and consumer.min_interval_s == 0
