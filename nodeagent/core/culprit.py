"""Search for the culprit: which parts of a bundle are held back, in turn, after a service did not take it.

Decides from what the services that failed use, from what a reload of theirs does to people, and from the parts whose copies
could not be written. Leaves each attempt to the installer, which brings it to its own end before the next begins.
Invariant: a service whose reload people notice is not reloaded a second time for the search; the search is short; and on a
node that nothing was proven on before, no service loses what it has just taken.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from common.bundle.manifest import TRUST, Manifest
from common.bundle.parts import Part
from common.ids import Digest
from nodeagent.core.plan import due, used_digest
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
    changed: Collection[Part],
    held: frozenset[Part],
    suspects: Suspects,
    *,
    needed: Collection[Part] = (),
) -> tuple[frozenset[Part], ...]:
    """Return the sets of parts to hold back next, one attempt each, after the attempt without those `held` failed.

    `changed` are the parts that the bundle would change; each set leaves at least one of them, and all that are `needed`.
    """
    left = frozenset(changed) - held
    if suspects.unwritten:
        sets = [] if suspects.unwritten & frozenset(needed) else [suspects.unwritten & left]
    else:
        sets = _by_use(left, frozenset(needed), suspects.consumers)
    return tuple(held | one for one in sets if one and one < left)


def needed_at_first(
    manifest: Manifest, consumers: Iterable[Consumer], loaded: Mapping[str, Digest]
) -> frozenset[Part]:
    """Return what cannot be held back where there is no former content: the trust store, and what a service has taken."""
    consumers = tuple(consumers)
    behind = due(consumers, manifest, loaded)
    return frozenset({TRUST, *(use for one in consumers if one not in behind for use in one.uses)})


def is_of_use(manifest: Manifest, consumers: Iterable[Consumer]) -> bool:
    """Whether any service can run on a slot of it.

    Where no slot is left, the trust store alone is not a reason to take the files of the slots from their services.
    """
    return any(
        used_digest(manifest, one) is not None and any(use != TRUST for use in one.uses) for one in consumers
    )


def _by_use(
    left: frozenset[Part], needed: frozenset[Part], failed: Iterable[Consumer]
) -> list[frozenset[Part]]:
    failed = tuple(failed)
    used = left & {use for consumer in failed for use in consumer.uses}
    held = used - needed
    if len(used) > 1 and all(_is_unnoticed(consumer) for consumer in failed):
        return list(dict.fromkeys((*(frozenset({part}) for part in _ORDER if part in held), held)))
    # without any of its slots a service is not reloaded, though a part of what it uses stays
    return [held] if used - held <= {TRUST} else []


def _is_unnoticed(consumer: Consumer) -> bool:
    return consumer.impact == "none" and consumer.min_interval_s == 0
