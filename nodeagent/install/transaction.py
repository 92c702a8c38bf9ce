"""One attempt to install a bundle: stage, switch, reload, verify, then commit or roll back.

Decides the order of the steps and the consequence of a failure in each. Leaves the choice of attempts to `installer`,
the bookkeeping to `nodeagent.core.steps`, the disk to `tree`, and the evidence to `proof`.
Invariant: nothing that a service reads changes before the switch; after it, the journal records the way out before
each step; and the outcome of an attempt is durable before it is reported.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec
import structlog

from common.bundle.manifest import Manifest
from common.errors import CertcastError, InstallError, Reason
from common.ids import Digest
from common.wire.messages import Outcome
from nodeagent.core import steps
from nodeagent.core.culprit import Suspects
from nodeagent.core.drift import find_drift
from nodeagent.core.journal import Attempt, Cause, cause_of
from nodeagent.core.plan import due
from nodeagent.core.retention import next_copy
from nodeagent.core.services import Consumer
from nodeagent.core.timing import Wait
from nodeagent.install.copies import inspect_copy, remove_copies
from nodeagent.install.diagnostics import compose
from nodeagent.install.fault import name_fault
from nodeagent.install.preflight import Checked
from nodeagent.install.probe import NOTHING_SHOWN, Port
from nodeagent.install.proof import Proof, Target, probe_baseline, prove_forward, prove_rollback
from nodeagent.install.state import NodeState, ProgressCallback
from nodeagent.install.stopped import Stopped, find_stopped

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Plan:
    """The consumers to reload now and later, the leaf of each port before, the stopped services, and the reporter."""

    ready: tuple[Consumer, ...]
    waits: Mapping[str, Wait]
    shown: Mapping[Port, str]
    stopped: Mapping[str, Stopped]
    progress: ProgressCallback


class Transaction:
    """Runs attempts on one node, one at a time. `suspects` are the services that failed in the last one."""

    def __init__(self, state: NodeState) -> None:
        self._state = state
        self.suspects = Suspects()

    async def run(self, checked: Checked, plan: Plan) -> Outcome:
        """Make one attempt, starting with the staging."""
        state, manifest, progress = self._state, checked.manifest, plan.progress
        self.suspects = Suspects()
        progress("stage", "")
        attempt = checked.attempt(started_s=state.clock(), directory="")
        try:
            directory = await self._stage(manifest, checked.payloads)
            attempt = checked.attempt(started_s=state.clock(), directory=directory)
            await state.file.save(steps.begin(state.file.journal, attempt, plan.ready))
        except Exception as error:  # noqa: BLE001 - whatever it was, it must become an outcome
            return await self._fail(attempt, cause_of("stage", _ours(error)))
        progress("switch", "")
        try:
            await asyncio.to_thread(self._switch, attempt.directory)
        except OSError as error:
            wrong = name_fault("the new generation could not be made live", error)
            reason = wrong.reason if wrong.reason == Reason.NO_SPACE else Reason.SWITCH_FAILED
            cause = Cause(phase="switch", reason=reason, message=wrong.message)
            if await asyncio.to_thread(state.tree.live) != attempt.directory:
                return await self._fail(attempt, cause)
            return await self.roll_back(cause, plan, Proof())
        return await self.prove(manifest, plan)

    async def _stage(self, manifest: Manifest, payloads: Mapping[Digest, bytes]) -> str:
        """Lay the generation out; return its directory. Reuses the live directory if it has the right content."""
        state, directory = self._state, self._state.file.journal.directory
        if directory and state.local.live == manifest:
            listing = await asyncio.to_thread(state.tree.listing, directory)
            if not find_drift(listing, manifest, directory=directory, owners=state.tree.owners):
                return directory
        return await asyncio.to_thread(self._lay_out, manifest, payloads)

    def _lay_out(self, manifest: Manifest, payloads: Mapping[Digest, bytes]) -> str:
        tree = self._state.tree
        name = next_copy(tree.names().keys(), manifest.epoch, manifest.generation)
        try:
            tree.stage(name, manifest, payloads)
        except OSError as error:
            self._drop(name)  # half-made files must not keep a full disk full
            raise name_fault("the new generation could not be written", error) from error
        return name

    def _switch(self, name: str) -> None:
        tree = self._state.tree
        if name != self._state.file.journal.directory:
            tree.publish(name)
            tree.switch(name)

    async def prove(self, manifest: Manifest, plan: Plan) -> Outcome:
        """The target is visible: reload and verify, then commit or roll back."""
        state, proof = self._state, Proof()
        try:
            attempt = state.file.journal.attempt
            directory = attempt.directory if attempt is not None else ""
            target = await self._target(directory, manifest, before=state.file.journal.directory)
            proof = await prove_forward(
                state,
                plan.ready,
                target,
                shown=plan.shown,
                stopped=plan.stopped,
                # with no generation to go back to, each service that accepts the files is a gain
                goes_on=state.file.journal.applied is None,
                progress=plan.progress,
            )
            if proof.cause is None:
                plan.progress("commit", "")
                if state.file.journal.applied is None:
                    await self._take_copies_back(state.file.journal.directory, manifest)
                return await self._commit(manifest, proof, plan)
            self.suspects = Suspects(tuple(proof.failed), frozenset(proof.unwritten))
            cause = await self._explained(proof.cause, proof, target.directory)
        except Exception as error:  # noqa: BLE001 - the node must not stay between two generations
            cause = cause_of("commit", _ours(error))
        return await self.roll_back(cause, plan, proof)

    async def _target(self, directory: str, manifest: Manifest, *, before: str) -> Target:
        wanted = await asyncio.to_thread(self._state.tree.wanted, directory, manifest, before=before)
        return Target(directory=directory, wanted=wanted)

    async def _explained(self, cause: Cause, proof: Proof, directory: str) -> Cause:
        """Add the node's present state, before anything is rolled back."""
        state, copies = self._state, [copy for one in proof.failed for copy in one.copies]
        listing = await asyncio.to_thread(state.tree.listing, directory)
        seen = await asyncio.to_thread(lambda: [inspect_copy(copy) for copy in copies])
        text = await compose(
            outputs=proof.outputs,
            notes=state.prober.notes,
            files=(*listing.files, *(one for one in seen if one is not None)),
            consumers=proof.failed,
        )
        return msgspec.structs.replace(cause, diagnostics=text)

    async def _commit(self, manifest: Manifest, proof: Proof, plan: Plan) -> Outcome:
        state = self._state
        before, waits = state.file.journal, {**plan.waits, **proof.waits}
        await state.file.save(
            steps.commit(
                before,
                manifest,
                proof.proven,
                now_s=state.clock(),
                reloads=proof.reloads,
                waiting={name: wait.message for name, wait in waits.items()},
            )
        )
        state.local.set_live(manifest)
        state.local.set_waits(waits)
        if (previous := state.file.journal.previous) and previous != before.previous:
            await self._remember(previous)
        outcome = self.outcome()
        log.info("install.applied", **_facts(outcome), count=outcome.reloads)
        return outcome

    async def _remember(self, previous: str) -> None:
        """Point `previous` to a generation; if the disk refuses, upkeep does it later."""
        try:
            await asyncio.to_thread(self._state.tree.remember, previous)
        except OSError as error:
            wrong = name_fault("the link to the previous generation could not be made", error)
            log.warning("disk.failed", reason=wrong.reason, message=wrong.message)

    # -- the ways out

    async def _fail(self, attempt: Attempt, cause: Cause) -> Outcome:
        """Nothing became visible: the former generation stays."""
        state = self._state
        await state.file.keep(steps.fail(state.file.journal, attempt, cause, now_s=state.clock()))
        if attempt.directory and attempt.directory != state.file.journal.directory:
            await asyncio.to_thread(self._drop, attempt.directory)
        return self._failed("install.failed")

    def _drop(self, name: str) -> None:
        try:
            self._state.tree.discard(name)
            self._state.tree.remove(name)
        except OSError as error:
            wrong = name_fault("what was staged could not be removed", error)
            log.warning("disk.failed", reason=wrong.reason, message=wrong.message)

    async def roll_back(self, cause: Cause, plan: Plan, forward: Proof) -> Outcome:
        """Show and prove the former generation if it is whole; otherwise keep the files of this attempt.

        `forward` has the consumers proven and reloaded before the failure.
        """
        state, journal = self._state, self._state.file.journal
        old = await asyncio.to_thread(state.tree.manifest, journal.directory) if journal.directory else None
        target = journal.attempt.directory if journal.attempt is not None else ""
        if journal.applied is None or target == journal.directory or old is None:
            return await self._stay(cause, plan, forward)
        if not await asyncio.to_thread(state.tree.is_whole, journal.directory, old):
            return await self._stay(cause, plan, forward)
        plan.progress("rollback", "")
        # a consumer that waits for its reload was not reloaded forward, so it needs no reload back
        suspects = tuple(
            one
            for one in due(state.services.consumers, old, journal.loaded)
            if one.name not in journal.waiting
        )
        await state.file.keep(steps.begin_rollback(journal, cause, suspects))
        proof = await self._prove_former(old, suspects, plan, attempted=target)
        await state.file.keep(
            steps.finish_rollback(
                state.file.journal,
                old,
                proof.proven,
                trouble=proof.cause,
                now_s=state.clock(),
                reloads=forward.reloads + proof.reloads,
            )
        )
        state.local.set_live(old)
        return self._failed("install.rolled_back" if proof.cause is None else "install.failed")

    async def _prove_former(
        self, old: Manifest, suspects: Sequence[Consumer], plan: Plan, *, attempted: str
    ) -> Proof:
        """Swap the link back and prove the former generation on consumers that may have loaded the `attempted` one."""
        state, directory = self._state, self._state.file.journal.directory
        try:
            await asyncio.to_thread(state.tree.switch, directory)
            await self._take_copies_back(attempted, old)
            back = await self._target(directory, old, before=attempted)
            stopped = await find_stopped(suspects, await probe_baseline(state, suspects))
            return await prove_rollback(
                state,
                suspects,
                back,
                shown=NOTHING_SHOWN,
                unreachable={port for port, leaf in plan.shown.items() if not leaf},
                were_stopped=plan.stopped.keys(),
                stopped=stopped,
                progress=plan.progress,
            )
        except Exception as error:  # noqa: BLE001 - a failed rollback is an outcome, too
            return Proof(cause=cause_of("rollback", _ours(error)))

    async def _take_copies_back(self, directory: str, manifest: Manifest) -> None:
        """Remove the attempt's copies from a directory, for slots that the generation now in use lacks."""
        state, entries = self._state, manifest.by_path()
        gone = [copy for one in state.services.consumers for copy in one.copies if copy.path not in entries]
        if gone and directory:
            await asyncio.to_thread(remove_copies, gone, lambda path: state.tree.body(directory, path))

    async def _stay(self, cause: Cause, plan: Plan, forward: Proof) -> Outcome:
        """No proven generation is left to go back to: the files stay, so that services can start with them."""
        state, waits = self._state, {**plan.waits, **forward.waits}
        await state.file.keep(
            steps.keep_unproven(
                state.file.journal,
                cause,
                proven=forward.proven,
                manifest=await asyncio.to_thread(self._manifest_of_attempt),
                now_s=state.clock(),
                reloads=forward.reloads,
                waiting=waits,
            )
        )
        state.local.set_waits({**state.local.waits, **waits})
        directory = state.file.journal.directory
        try:
            if await asyncio.to_thread(state.tree.live) != directory:
                await asyncio.to_thread(state.tree.switch, directory)
        except OSError as error:  # upkeep makes the link right
            wrong = name_fault("the files of the first attempt could not be made live again", error)
            log.warning("disk.failed", reason=wrong.reason, message=wrong.message)
        state.local.set_live(await asyncio.to_thread(state.tree.manifest, directory))
        return self._failed("install.failed")

    def _manifest_of_attempt(self) -> Manifest | None:
        attempt = self._state.file.journal.attempt
        return self._state.tree.manifest(attempt.directory) if attempt is not None else None

    def _failed(self, event: str) -> Outcome:
        outcome = self.outcome()
        log.error(
            event, **_facts(outcome), phase=outcome.phase, reason=outcome.reason, message=outcome.message
        )
        return outcome

    def outcome(self) -> Outcome:
        """Return the outcome of the last attempt, with the node's report."""
        state = self._state
        outcome = state.local.unacknowledged_outcome(state.clock())
        if outcome is None:
            raise InstallError("an installation ended without an outcome")
        return outcome


def _facts(outcome: Outcome) -> dict[str, object]:
    """Return the fields of each log line about an outcome."""
    return {
        "epoch": outcome.epoch,
        "generation": outcome.generation,
        "digest": outcome.digest,
        "duration_ms": outcome.duration_ms,
    }


def _ours(error: Exception) -> CertcastError:
    match error:
        case CertcastError():
            return error
        case OSError():
            return name_fault("the disk refused it", error)
        case _:
            log.error("task.failed", task="install", exc_info=error)
            return InstallError(f"an error of the agent itself: {type(error).__name__}")
