"""The minute's work on what is installed: find and repair drift, reload who is behind, look at the ports, collect.

Decides nothing about new bundles. A damaged generation is laid out anew under another name and shown with one swap of the
link, never mended in place, so that no reader meets a mixture. What is nowhere on the node any more is reported as
lost (`holdings`), and the manager sends it again.
Invariant: a consumer is reloaded here only if it is unknown, or known to be wrong, what it has loaded.
"""

import asyncio
from collections.abc import Sequence

import structlog

from common.bundle.manifest import Manifest
from nodeagent.core import journal as steps
from nodeagent.core.drift import Drift, damaged_paths, disk_digest, find_drift
from nodeagent.core.plan import due
from nodeagent.core.quarantine import step_s
from nodeagent.core.retention import next_copy, removable
from nodeagent.core.services import Consumer
from nodeagent.install.fault import named
from nodeagent.install.proof import find_dark, prove_back
from nodeagent.install.state import NodeState, say_nothing

log = structlog.get_logger(__name__)


class Upkeep:
    """See the module. Remembers, in memory, how often consumers that are behind were reloaded in vain."""

    def __init__(self, state: NodeState) -> None:
        self._state = state
        self._behind: tuple[str, ...] = ()
        self._attempts = 0
        self._next_s = 0.0

    async def turn(self) -> None:
        """Do all of it once, between installations. Raises CertcastError if the disk refuses."""
        state = self._state
        async with state.lock:
            await state.file.flush()
            try:
                await self._check_drift()
                await self._settle()
                await self._collect()
            except OSError as error:
                raise named("upkeep could not be done", error) from error
        await self._look()

    async def _look(self) -> None:
        """See what the ports serve, without holding up an installation; one that began meanwhile knows better."""
        state, before = self._state, self._state.file.journal.directory
        seen = await state.prober.look(state.services.consumers)
        if not state.lock.locked() and state.file.journal.directory == before:
            state.holdings.expect(state.services.consumers)
            state.holdings.was_seen(seen)

    # -- drift

    async def _check_drift(self) -> None:
        state, directory = self._state, self._state.file.journal.directory
        manifest = state.holdings.live
        if not directory or manifest is None:
            return
        listing = await asyncio.to_thread(state.tree.listing, directory)
        drifts = find_drift(listing, manifest, directory=directory, owners=state.tree.owners)
        state.holdings.was_listed(disk_digest(listing, manifest, drifts))
        if not drifts:
            return
        log.warning(
            "drift.found",
            count=len(drifts),
            message=f"{drifts[0].what} of {drifts[0].path}",
        )
        await self._repair(manifest, directory, drifts)

    async def _repair(self, manifest: Manifest, directory: str, drifts: Sequence[Drift]) -> None:
        state = self._state
        if all(drift.what == "link" for drift in drifts):
            # somebody showed the services something else, so nobody knows what they read
            await state.file.save(steps.doubt(state.file.journal, state.services.consumers))
        else:
            names = await asyncio.to_thread(state.tree.names)
            others = sorted(names.keys() - {directory}, reverse=True)
            payloads = await asyncio.to_thread(state.tree.payloads, manifest, [directory, *others])
            missing = {entry.digest for entry in manifest.entries} - payloads.keys()
            if missing:
                state.holdings.was_damaged(missing)
                return
            directory = next_copy(names.keys(), manifest.epoch, manifest.generation)
            await asyncio.to_thread(state.tree.stage, directory, manifest, payloads)
            await asyncio.to_thread(state.tree.publish, directory)
            doubtful = _readers(state.services.consumers, drifts)
            await state.file.save(steps.move(steps.doubt(state.file.journal, doubtful), directory))
        await asyncio.to_thread(state.tree.switch, directory)
        state.holdings.went_live(manifest)
        state.holdings.was_repaired()
        log.warning("drift.repaired", count=len(drifts))

    # -- consumers that are behind

    async def _settle(self) -> None:
        """Reload and prove consumers that have not loaded what is live: new ones, and those of a failed rollback."""
        state, journal = self._state, self._state.file.journal
        manifest = state.holdings.applied()
        if manifest is None:
            return
        behind = due(state.services.consumers, manifest, journal.loaded)
        names = tuple(consumer.name for consumer in behind)
        now_s = state.clock()
        if names != self._behind:
            self._behind, self._attempts, self._next_s = names, 0, now_s
        if not behind:
            if journal.unproven is not None:
                await state.file.save(steps.settle(journal, manifest, (), is_settled=True))
            return
        if now_s < self._next_s:
            return
        self._attempts += 1
        self._next_s = now_s + step_s(self._attempts)
        await self._reload(behind, manifest)

    async def _reload(self, behind: Sequence[Consumer], manifest: Manifest) -> None:
        state = self._state
        dark = await find_dark(state, behind)
        proof = await prove_back(state, behind, manifest, dark=dark, say=say_nothing)
        journal = state.file.journal
        settled = len(proof.proven) == len(behind)
        await state.file.save(steps.settle(journal, manifest, proof.proven, is_settled=settled))
        if proof.cause is not None:
            log.warning(
                "reload.ran",
                reason=proof.cause.reason,
                message=proof.cause.message,
                retry_after_s=step_s(self._attempts),
            )

    # -- old generations

    async def _collect(self) -> None:
        state, journal = self._state, self._state.file.journal
        if journal.previous and await asyncio.to_thread(state.tree.remembered) != journal.previous:
            await asyncio.to_thread(state.tree.remember, journal.previous)
        names = await asyncio.to_thread(state.tree.names)
        needed = {journal.directory, journal.previous}
        for name in removable(names, needed=needed, now_s=state.clock()):
            await asyncio.to_thread(state.tree.remove, name)


def _readers(consumers: Sequence[Consumer], drifts: Sequence[Drift]) -> tuple[Consumer, ...]:
    """Return the consumers that may have read damaged content."""
    if any(drift.what == "link" for drift in drifts):
        return tuple(consumers)
    parts = {path.partition("/")[0] for path in damaged_paths(drifts)}
    return tuple(consumer for consumer in consumers if parts.intersection(consumer.uses))
