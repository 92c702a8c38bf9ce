"""Local state, answered from memory: the conversation's view of the journal, the live tree and the ports.

Decides what to report. Leaves reading the disk and probing the ports to `upkeep` and `proof`, which record their
results here. A live tree with content that is lost and cannot be restored on the node is reported as not applied, and
its own generation is accepted again: so the manager sends the missing files without a special message.
Invariant: only proven generations are reported as applied, and only files that were seen as held.
"""

from collections.abc import Iterable, Mapping, Sequence

from common.bundle.manifest import Manifest
from common.ids import Digest
from common.wire.contact import Contact
from common.wire.messages import Applied, ConfigurationFault, Failure, Outcome, Report, Serving, Waiting
from nodeagent.core.journal import UnacknowledgedOutcome, version_of
from nodeagent.core.quarantine import remaining_s, to_failure, to_part_refused
from nodeagent.core.services import Consumer
from nodeagent.core.timing import Wait
from nodeagent.install.journalfile import JournalFile


class NodeLocalState:
    """Implements `common.wire.offers.LocalState`."""

    def __init__(self, file: JournalFile) -> None:
        self._file = file
        self._live: Manifest | None = None
        self._held: frozenset[Digest] = frozenset()
        self._lost: frozenset[Digest] = frozenset()
        self._is_damaged = False
        self._disk = ""
        self._drifts = 0
        self._serving: dict[tuple[str, str], Serving] = {}
        self._waits: Mapping[str, Wait] = {}
        self._faults: list[ConfigurationFault] = []
        self._contact: Contact | None = None
        self._challenges_held = 0

    # -- what the shells saw

    @property
    def live(self) -> Manifest | None:
        """The manifest of the live tree, proven or not."""
        return self._live

    @property
    def serving(self) -> list[Serving]:
        """The certificates last seen on each endpoint."""
        return list(self._serving.values())

    @property
    def is_damaged(self) -> bool:
        """Whether the manager must send lost content of the live tree again."""
        return self._is_damaged

    @property
    def drifts(self) -> int:
        """The number of drifts repaired since start."""
        return self._drifts

    @property
    def is_disk_right(self) -> bool:
        """Whether the live tree matched the installed generation at the last check."""
        return self._live is None or self._disk == self._live.digest

    def set_live(self, manifest: Manifest | None) -> None:
        """Set the manifest of the live tree; None if `current` shows no whole generation."""
        self._live = manifest
        self._held = (
            frozenset(entry.digest for entry in manifest.entries) if manifest is not None else frozenset()
        )
        self._lost = frozenset()
        self._is_damaged = False
        self._disk = manifest.digest if manifest is not None else ""

    def set_disk_digest(self, disk: Digest) -> None:
        """Set the digest of the live tree."""
        self._disk = disk

    def count_repair(self) -> None:
        """Count a repaired drift."""
        self._drifts += 1

    def mark_damaged(self, missing: Iterable[Digest]) -> None:
        """Note that these payloads of the live tree no longer exist on this node."""
        self._is_damaged = True
        self._lost |= frozenset(missing)

    def mark_lost(self, digests: Iterable[Digest]) -> None:
        """Note that these payloads, believed to be held, could not be read."""
        self._lost |= frozenset(digests)

    def update_serving(self, seen: Iterable[Serving]) -> None:
        """Record the certificates seen on these endpoints."""
        self._serving |= {(one.consumer, one.endpoint): one for one in seen}

    @property
    def waits(self) -> Mapping[str, Wait]:
        """Why the reloads of these consumers waited at the last check."""
        return self._waits

    def set_waits(self, waits: Mapping[str, Wait]) -> None:
        """Set which consumers' reloads wait, and why."""
        self._waits = dict(waits)

    def retain_serving(self, consumers: Sequence[Consumer]) -> None:
        """Forget endpoints that belong to none of these consumers."""
        known = {(consumer.name, endpoint.label) for consumer in consumers for endpoint in consumer.endpoints}
        self._serving = {key: seen for key, seen in self._serving.items() if key in known}

    def set_faults(self, faults: Sequence[ConfigurationFault]) -> None:
        """Set the faults in the node's own configuration."""
        self._faults = list(faults)

    @property
    def faults(self) -> list[ConfigurationFault]:
        """The faults in the node's own configuration."""
        return self._faults

    def set_challenges_held(self, count: int) -> None:
        """Set the number of challenges shown to CAs."""
        self._challenges_held = count

    # -- LocalState

    def report(self, now_s: float) -> Report:
        """Return the node's report about itself."""
        journal = self._file.journal
        manifest, applied = self.applied(), None
        if manifest is not None:
            leaves = {slot: str(facts.leaf) for slot, facts in manifest.slots.items()}
            applied = Applied(
                epoch=manifest.epoch, generation=manifest.generation, digest=manifest.digest, leaves=leaves
            )
        return Report(
            applied=applied,
            last_failed=to_failure(journal.last_failed, now_s) if journal.last_failed else None,
            serving=self.serving,
            disk=self._disk,
            drifts=self._drifts,
            clock_s=now_s,
            waiting=[
                Waiting(
                    consumer=name, since_s=journal.waiting[name], reason=wait.reason, message=wait.message
                )
                for name, wait in self._waits.items()
                if name in journal.waiting
            ],
            configuration=self._faults,
            refused=[to_part_refused(one, now_s) for one in journal.refused.values()],
        )

    def set_contact(self, contact: Contact) -> None:
        """Set the manager's contact, from the identity."""
        self._contact = contact

    def contact(self) -> Contact | None:
        """Return the manager's contact."""
        return self._contact

    def applied(self) -> Manifest | None:
        """Return the applied manifest, None if nothing is proven yet or its content is lost."""
        journal = self._file.journal
        if journal.applied is None or self._is_damaged or self._live is None:
            return None
        return self._live if version_of(self._live) == journal.applied else None

    def unproven(self) -> Manifest | None:
        """Return the manifest left by a failed first installation, None if the live tree is proven or damaged."""
        journal = self._file.journal
        failed = journal.last_failed
        if journal.applied is not None or self._is_damaged or self._live is None or failed is None:
            return None
        return self._live if (failed.epoch, failed.generation) == self._live.version else None

    def highest(self) -> tuple[int, int]:
        """Return the highest version ever applied, or one less while that version must be accepted again.

        That is so while its content is damaged or some of its parts are refused.
        """
        journal = self._file.journal
        epoch, generation = journal.highest
        is_whole = self.applied() is not None and not journal.is_partial
        return (epoch, generation) if is_whole or generation == 0 else (epoch, generation - 1)

    def has(self, digest: Digest) -> bool:
        """Whether the live tree holds this payload."""
        return digest in self._held and digest not in self._lost

    def quarantined(self, digest: Digest, now_s: float) -> Failure | None:
        """Return the failure for which this content rests now."""
        failed = self._file.journal.last_failed
        if failed is None or failed.digest != digest or remaining_s(failed, now_s) <= 0:
            return None
        return to_failure(failed, now_s)

    def unacknowledged_outcome(self, now_s: float) -> Outcome | None:
        """Return the outcome that the manager has not acknowledged."""
        kept = self._file.journal.unacknowledged
        return self.outcome(kept, now_s) if kept is not None else None

    def challenges_held(self) -> int:
        """Return the number of challenges shown."""
        return self._challenges_held

    def outcome(self, kept: UnacknowledgedOutcome, now_s: float) -> Outcome:
        """Return an outcome as a message, with the present report."""
        return Outcome(
            push_id=kept.push_id,
            epoch=kept.version.epoch,
            generation=kept.version.generation,
            digest=kept.version.digest,
            result=kept.result,
            phase=kept.phase,
            reason=kept.reason,
            message=kept.message,
            at_s=kept.at_s,
            duration_ms=kept.duration_ms,
            reloads=kept.reloads,
            diagnostics=kept.diagnostics,
            report=self.report(now_s),
        )
