"""Upkeep of the installation: repair drift, probe ports, reload consumers that are behind, remove old generations.

Decides nothing about new bundles. A damaged generation is laid out again under another name and shown with one swap
of the link, never repaired in place, so no reader sees a mixture. Files missing everywhere on the node are reported as
lost (`local`), and the manager sends them again.
Invariant: a consumer is reloaded here only if its loaded content is unknown or known to be wrong.
"""

import asyncio
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from typing import Final

import structlog

from common.bundle.manifest import Manifest
from common.errors import InstallError
from common.wire.ladder import remaining_s, step_s
from nodeagent.core import steps
from nodeagent.core.drift import Drift, damaged_paths, disk_digest, find_drift
from nodeagent.core.plan import due, settled_copies
from nodeagent.core.retention import next_copy, removable
from nodeagent.core.served import Wanted, mismatch
from nodeagent.core.services import Consumer
from nodeagent.install.copies import drift_of_copies, write_copies
from nodeagent.install.fault import name_fault
from nodeagent.install.proof import Target, prove_rollback, shown_leaves, unreachable_endpoints
from nodeagent.install.state import NodeState, ignore_progress
from nodeagent.install.stopped import Stopped, find_stopped

log = structlog.get_logger(__name__)

CONFIRM_S: Final = 2.0
"""How long a port with another certificate may take to recover by itself (from a reload by somebody else)."""


class Upkeep:
    """Counts in memory how often consumers that are behind were reloaded in vain."""

    def __init__(self, state: NodeState) -> None:
        self._state = state
        self._tries: dict[str, tuple[int, float]] = {}
        self._stale: set[str] = set()

    async def turn(self) -> None:
        """Do the whole upkeep once, between installations. Raises CertcastError if the disk refuses."""
        state = self._state
        async with state.lock:
            await state.file.flush()
            trouble = await self._check_disk()
        directory, stale = await self._probe_endpoints()
        async with state.lock:
            # an installation in between knows better what its consumers have loaded
            if state.file.journal.directory == directory:
                await self._mark_unverified(stale)
                await self._reload_due()
        if trouble is not None:
            raise trouble

    async def _check_disk(self) -> InstallError | None:
        """Check tree and copies. Continues after a disk error in one step; returns the first error."""
        trouble: InstallError | None = None
        for step in (self._check_drift, self._check_copies, self._collect):
            try:
                await step()
            except InstallError as error:
                trouble = trouble or error
            except OSError as error:
                trouble = trouble or name_fault("the periodic check could not be completed", error)
        return trouble

    # -- drift of the tree

    async def _check_drift(self) -> None:
        state, directory = self._state, self._state.file.journal.directory
        manifest = state.local.live
        if not directory or manifest is None:
            return
        listing = await asyncio.to_thread(state.tree.listing, directory)
        drifts = find_drift(listing, manifest, directory=directory, owners=state.tree.owners)
        state.local.set_disk_digest(disk_digest(listing, manifest, drifts))
        if drifts:
            _log_drift(drifts)
            await self._repair(manifest, directory, drifts)

    async def _repair(self, manifest: Manifest, directory: str, drifts: Sequence[Drift]) -> None:
        state = self._state
        if all(drift.what == "link" for drift in drifts):
            # the link pointed elsewhere, so the services may have read anything
            await state.file.save(steps.mark_unverified(state.file.journal, state.services.consumers))
        else:
            names = await asyncio.to_thread(state.tree.names)
            others = sorted(names.keys() - {directory}, reverse=True)
            payloads = await asyncio.to_thread(state.tree.payloads, manifest, [directory, *others])
            missing = {entry.digest for entry in manifest.entries} - payloads.keys()
            if missing:
                state.local.mark_damaged(missing)
                return
            directory = next_copy(names.keys(), manifest.epoch, manifest.generation)
            await asyncio.to_thread(state.tree.stage, directory, manifest, payloads)
            await asyncio.to_thread(state.tree.publish, directory)
            unverified = _readers(state.services.consumers, drifts)
            await state.file.save(
                steps.move(steps.mark_unverified(state.file.journal, unverified), directory)
            )
        await asyncio.to_thread(state.tree.switch, directory)
        state.local.set_live(manifest)
        state.local.count_repair()
        log.warning("drift.repaired", count=len(drifts))

    # -- drift of the copies

    async def _check_copies(self) -> None:
        """Check the copies of consumers that have loaded the live generation; the others get theirs at their reload."""
        state, journal = self._state, self._state.file.journal
        manifest = state.local.applied()
        if manifest is None:
            return
        copies = settled_copies(state.services.consumers, manifest, journal.loaded)
        drifts = await asyncio.to_thread(drift_of_copies, copies, manifest)
        if not drifts:
            return
        _log_drift(drifts)
        listing = await asyncio.to_thread(state.tree.listing, journal.directory)
        state.local.set_disk_digest(disk_digest(listing, manifest, drifts))
        damaged = damaged_paths(drifts)
        unverified = [
            one
            for one in state.services.consumers
            if any(copy in copies and copy.to in damaged for copy in one.copies)
        ]
        await state.file.save(steps.mark_unverified(journal, unverified))
        directory = journal.directory
        await asyncio.to_thread(write_copies, copies, lambda path: state.tree.body(directory, path))
        state.local.set_disk_digest(manifest.digest)
        state.local.count_repair()
        log.warning("drift.repaired", count=len(drifts))

    # -- what the ports serve

    async def _probe_endpoints(self) -> tuple[str, frozenset[str]]:
        """Probe the ports, without holding up an installation.

        Returns the directory that was live, and the consumers that loaded it but show another certificate.
        """
        state, directory = self._state, self._state.file.journal.directory
        wanted = await self._wanted()
        seen = await state.prober.probe_with_stapling(state.services.consumers, wanted)
        trust = await asyncio.to_thread(state.tree.trust, directory) if directory else b""
        if await asyncio.to_thread(state.prober.strictness.ask, trust, state.clock()):
            seen = await state.prober.probe(state.services.consumers, wanted)
        stale = {one.consumer for one in seen if one.leaf and mismatch(one, wanted) is not None}
        loaded = [one for one in state.services.consumers if one.name in state.file.journal.loaded]
        stale = {one.name for one in loaded if one.name in stale and not await self._passes(one, wanted)}
        if not state.lock.locked() and state.file.journal.directory == directory:
            state.local.retain_serving(state.services.consumers)
            state.local.update_serving(seen)
        return directory, frozenset(stale)

    async def _wanted(self) -> Wanted:
        state, journal = self._state, self._state.file.journal
        manifest = state.local.applied() or state.local.unproven()
        if manifest is None:
            return {}
        return await asyncio.to_thread(
            state.tree.wanted, journal.directory, manifest, before=journal.previous
        )

    async def _passes(self, consumer: Consumer, wanted: Wanted) -> bool:
        """Whether the ports recover within a moment."""
        seen = await self._state.prober.wait_for(replace(consumer, verify_timeout_s=CONFIRM_S), wanted)
        return all(not one.leaf or mismatch(one, wanted) is None for one in seen)

    async def _mark_unverified(self, stale: frozenset[str]) -> None:
        """Assume that these consumers have loaded other content, so that they are reloaded."""
        state = self._state
        unverified = [one for one in state.services.consumers if one.name in stale]
        for consumer in unverified:
            if consumer.name not in self._stale:
                log.warning("drift.found", count=1, message=f"'{consumer.name}' serves another certificate")
        self._stale |= stale
        await state.file.save(steps.mark_unverified(state.file.journal, unverified))

    # -- consumers that are behind

    async def _reload_due(self) -> None:
        """Reload and prove consumers that have not loaded the live files: new, waiting and stray ones."""
        state, journal = self._state, self._state.file.journal
        manifest = state.local.applied() or state.local.unproven()
        if manifest is None:
            return
        is_unproven = journal.applied is None
        behind = due(state.services.consumers, manifest, journal.loaded)
        self._tries = {one.name: self._tries[one.name] for one in behind if one.name in self._tries}
        self._stale &= {one.name for one in behind}
        target = Target(directory=journal.directory, wanted=await self._wanted())
        stopped = await find_stopped(behind, state.local.serving)
        ready, waits = await state.split(one for one in behind if one.name not in stopped)
        unplaced = {name for name, wait in waits.items() if wait.reason == "service"}
        waits |= {name: one.wait for name, one in stopped.items() if one.is_excuse}
        held = waits.keys() | journal.waiting.keys()
        by_hand = [
            one
            for one in behind
            if (is_unproven or one.name in held)
            and one.name not in unplaced
            and self._is_shown(one, target.wanted)
        ]
        # a stray consumer may wait too, but still counts as stray
        waits = {
            name: wait
            for name, wait in waits.items()
            if name in journal.waiting or (name in stopped and name not in journal.reloaded)
        }
        proven = by_hand
        if not is_unproven:
            proven = [*by_hand, *await self._load(behind, ready, by_hand, stopped, target)]
        waits = {name: wait for name, wait in waits.items() if name not in {one.name for one in proven}}
        state.local.set_waits(waits)
        await self._record(
            manifest, behind, proven, waits=waits.keys(), excused=stopped.keys() | waits.keys()
        )

    async def _record(
        self,
        manifest: Manifest,
        behind: Sequence[Consumer],
        proven: Sequence[Consumer],
        *,
        waits: AbstractSet[str],
        excused: AbstractSet[str],
    ) -> None:
        """Record which of those `behind` are `proven`, which may complete the proof of an unproven generation."""
        state, is_unproven = self._state, self._state.file.journal.applied is None
        is_settled = len(proven) == len(behind)
        after = steps.record_reloads(
            state.file.journal, manifest, proven, waiting=waits, is_settled=is_settled, now_s=state.clock()
        )
        if is_unproven and all(one in proven or one.name in excused for one in behind):
            after = steps.confirm(after, manifest)
            log.info("install.applied", epoch=manifest.epoch, generation=manifest.generation)
        await state.file.save(after)

    async def _load(
        self,
        behind: Sequence[Consumer],
        ready: Sequence[Consumer],
        by_hand: Sequence[Consumer],
        stopped: Mapping[str, Stopped],
        target: Target,
    ) -> Sequence[Consumer]:
        """Reload those that may be. Stopped services get their copies, and a start unless somebody stopped them."""
        state, now_s = self._state, self._state.clock()
        idle = [one for one in behind if one.name in stopped and one not in by_hand]
        for consumer in idle:
            await asyncio.to_thread(
                write_copies, consumer.copies, lambda path: state.tree.body(target.directory, path)
            )
        started = [one for one in idle if not stopped[one.name].is_deliberate]
        chosen = [
            one for one in (*ready, *started) if one not in by_hand and not self._rests(one.name, now_s)
        ]
        return await self._reload(chosen, target, stopped) if chosen else []

    def _rests(self, name: str, now_s: float) -> bool:
        """Whether it is too early to try a consumer's reload again."""
        attempts, until_s = self._tries.get(name, (0, 0.0))
        return remaining_s(until_s, now_s, longest_s=step_s(attempts)) > 0

    def _is_shown(self, consumer: Consumer, wanted: Wanted) -> bool:
        """Whether somebody else has reloaded it: its ports show all the files that it uses."""
        seen = [one for one in self._state.local.serving if one.consumer == consumer.name]
        shown = {one.slot for one in seen if one.leaf and mismatch(one, wanted) is None}
        return set(consumer.uses) <= shown and len(seen) == len(consumer.endpoints)

    async def _reload(
        self, ready: Sequence[Consumer], target: Target, stopped: Mapping[str, Stopped]
    ) -> Sequence[Consumer]:
        """Return those proven now. The others are tried again after growing pauses."""
        state = self._state
        proof = await prove_rollback(
            state,
            ready,
            target,
            shown=shown_leaves(state.local.serving),
            unreachable=unreachable_endpoints(state.local.serving),
            were_stopped=stopped.keys(),
            stopped=stopped,
            progress=ignore_progress,
        )
        for consumer in ready:
            if consumer in proof.proven:
                if consumer.name in self._stale:
                    self._stale.discard(consumer.name)
                    state.local.count_repair()
                    log.warning("drift.repaired", count=1)
                continue
            attempts = self._tries.get(consumer.name, (0, 0.0))[0] + 1
            self._tries[consumer.name] = (attempts, state.clock() + step_s(attempts))
        if proof.cause is not None:
            retry_s = max(step_s(self._tries[one.name][0]) for one in proof.failed)
            log.warning(
                "reload.ran",
                reason=proof.cause.reason,
                message=proof.cause.message,
                retry_after_s=retry_s,
            )
        return proof.proven

    # -- old generations, and what was never one

    async def _collect(self) -> None:
        state, journal = self._state, self._state.file.journal
        if journal.previous and await asyncio.to_thread(state.tree.remembered) != journal.previous:
            await asyncio.to_thread(state.tree.remember, journal.previous)
        names = await asyncio.to_thread(state.tree.names)
        needed = {journal.directory, journal.previous}
        await asyncio.to_thread(state.tree.tidy)
        for name in removable(names, needed=needed, now_s=state.clock()):
            await asyncio.to_thread(state.tree.remove, name)


def _log_drift(drifts: Sequence[Drift]) -> None:
    log.warning("drift.found", count=len(drifts), message=f"{drifts[0].what} of {drifts[0].path}")


def _readers(consumers: Sequence[Consumer], drifts: Sequence[Drift]) -> tuple[Consumer, ...]:
    """Return the consumers that may have read damaged content."""
    if any(drift.what == "link" for drift in drifts):
        return tuple(consumers)
    parts = {path.partition("/")[0] for path in damaged_paths(drifts)}
    return tuple(consumer for consumer in consumers if parts.intersection(consumer.uses))
