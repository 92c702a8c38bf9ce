"""Reload planning: which consumers must be reloaded for which content.

Decides from the entries that each consumer uses and has loaded. Invariant: a consumer that has loaded exactly
these entries is not reloaded, whatever the generation's number.
"""

from collections.abc import Iterable, Mapping

from common.bundle.manifest import TRUST, Manifest
from common.ids import Digest, digest_of
from nodeagent.core.services import Consumer, Copy
from nodeagent.core.timing import PROOF_SETTLE_S

OVERHEAD_S = 20.0
"""For checks, disk and the manager's round trips, on top of the consumers' own timeouts."""

WITHIN_MAX_S = 3600.0
"""The protocol's limit."""


def used_digest(manifest: Manifest, consumer: Consumer) -> Digest | None:
    """Return the digest of the entries that this consumer uses, None if the manifest has none of them.

    Also None if the manifest has none of the slots that it uses: it cannot run on the trust store alone.
    """
    if (slots := frozenset(consumer.uses) - {TRUST}) and not slots & manifest.slots.keys():
        return None
    prefixes = tuple(f"{use}/" for use in consumer.uses)
    lines = [
        f"{entry.path} {entry.digest}\n" for entry in manifest.entries if entry.path.startswith(prefixes)
    ]
    return digest_of("".join(lines).encode()) if lines else None


def due(
    consumers: Iterable[Consumer], manifest: Manifest, loaded: Mapping[str, Digest]
) -> tuple[Consumer, ...]:
    """Return the consumers that have not loaded their entries of this manifest, in the file's order."""
    return tuple(
        consumer
        for consumer in consumers
        if (used := used_digest(manifest, consumer)) is not None and loaded.get(consumer.name) != used
    )


def settled_copies(
    consumers: Iterable[Consumer], manifest: Manifest, loaded: Mapping[str, Digest]
) -> list[Copy]:
    """Return the copies of consumers that have loaded this manifest; the others are written with their reload."""
    consumers = tuple(consumers)
    behind, entries = due(consumers, manifest, loaded), manifest.by_path()
    return [copy for one in consumers if one not in behind for copy in one.copies if copy.path in entries]


def without(loaded: Mapping[str, Digest], consumers: Iterable[Consumer]) -> dict[str, Digest]:
    """Return the map without these consumers: their loaded content is unknown from now on."""
    names = {consumer.name for consumer in consumers}
    return {name: digest for name, digest in loaded.items() if name not in names}


def with_loaded(
    loaded: Mapping[str, Digest], consumers: Iterable[Consumer], manifest: Manifest
) -> dict[str, Digest]:
    """Return the map with these consumers proven on this manifest."""
    proven = {one.name: used for one in consumers if (used := used_digest(manifest, one)) is not None}
    return {**loaded, **proven}


def within_s(consumers: Iterable[Consumer], *, rounds: int = 1) -> float:
    """Return the time limit of an installation that reloads these in so many rounds, including its rollback."""
    consumers = tuple(consumers)
    reloads_s = sum(one.timeout_s for one in consumers)
    verify_s = max((one.verify_timeout_s for one in consumers), default=0.0)
    return min(WITHIN_MAX_S, OVERHEAD_S + rounds * 2 * (reloads_s + verify_s + PROOF_SETTLE_S))
