"""Search for the culprit: which parts of a bundle to hold back, in turn, after a service rejected it.

Decides from the parts that the failed services use, from the impact of their reloads on people, and from the
parts whose copies could not be written. Leaves each attempt to the installer, which concludes it before the
next begins. Invariant: a service whose reload people notice is not reloaded again for the search; the search is
short; and on a node without a proven generation no service loses the files that it has just accepted.
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
"""Each of the three parts, and each pair of them: a bundle cannot go live in part in any other way."""

_ORDER: Final[tuple[Part, ...]] = ("trust", "client", "server")
"""Parts that are likely to blame and least missed come first."""


@dataclass(frozen=True, slots=True)
class Suspects:
    """The services that rejected an attempt.

    `unwritten` lists the parts whose copies could not be written; they need no search.
    """

    consumers: tuple[Consumer, ...] = ()
    unwritten: frozenset[Part] = frozenset()

    def may_be(self, part: Part) -> bool:
        """Whether a part is to blame because no other part changes."""
        return part in self.unwritten or not self.unwritten


def hold_back_next(
    changed: Collection[Part],
    held: frozenset[Part],
    suspects: Suspects,
    *,
    needed: Collection[Part] = (),
) -> tuple[frozenset[Part], ...]:
    """Return the sets of parts to hold back next, one attempt each, after the attempt without `held` failed.

    `changed` lists the parts that the bundle would change. Each set leaves at least one of them and all `needed`.
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
    """Return the parts that a node without former content needs: the trust store, and those a service accepted."""
    consumers = tuple(consumers)
    behind = due(consumers, manifest, loaded)
    return frozenset({TRUST, *(use for one in consumers if one not in behind for use in one.uses)})


def is_of_use(manifest: Manifest, consumers: Iterable[Consumer]) -> bool:
    """Whether any service can run on a slot of it.

    If no slot is left, the trust store alone is no reason to remove the slots' files from their services.
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
    # a service without any of its slots is not reloaded, even if another part that it uses stays
    return [held] if used - held <= {TRUST} else []


def _is_unnoticed(consumer: Consumer) -> bool:
    return consumer.impact == "none" and consumer.min_interval_s == 0
