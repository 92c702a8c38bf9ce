"""The installation of one bundle: check, stage, switch, reload, verify, and commit or go back.

Decides the order of the steps and what a failure in each of them leads to. Leaves the bookkeeping to
`nodeagent.core.steps`, the disk to `tree`, the evidence to `proof`.
Invariant: until the switch nothing that a service reads has changed; after it, the journal knows the way out before each
step is taken; and an installation ends with an outcome that is durable before it is told.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import msgspec
import structlog

from common.bundle.manifest import Manifest
from common.bundle.parts import Part, changed_parts
from common.errors import CertcastError, InstallError, Reason
from common.ids import Digest
from common.wire.messages import Outcome, Phase
from common.wire.receiver import Install
from nodeagent.core import steps
from nodeagent.core.culprit import (
    ATTEMPTS_MAX,
    Suspects,
    hold_back_next,
    is_of_use,
    needed_at_first,
)
from nodeagent.core.drift import find_drift
from nodeagent.core.journal import Attempt, Cause, cause_of, version_of
from nodeagent.core.plan import due, within_s
from nodeagent.core.quarantine import Failed
from nodeagent.core.retention import next_copy
from nodeagent.core.services import Consumer
from nodeagent.core.timing import Wait
from nodeagent.install.copies import look_at, remove_copies
from nodeagent.install.diagnostics import compose
from nodeagent.install.fault import named
from nodeagent.install.preflight import Checked, check_bundle, hold_back
from nodeagent.install.probe import NOTHING_SHOWN, Port
from nodeagent.install.proof import (
    Proof,
    Target,
    look_first,
    prove_back,
    prove_forward,
    shown_leaves,
)
from nodeagent.install.state import NodeState, Say
from nodeagent.install.stopped import Stopped, find_stopped

log = structlog.get_logger(__name__)


SERVICE_REASONS: Final = frozenset(
    {
        Reason.RELOAD_FAILED,
        Reason.RELOAD_TIMEOUT,
        Reason.VERIFY_MISMATCH,
        Reason.VERIFY_TIMEOUT,
        Reason.VERIFY_UNREACHABLE,
        Reason.CHAIN_INCOMPLETE,
    }
)
"""What a service says by its reload or its ports."""


class Installer:
    """See the module. One installation runs at a time; a second caller waits."""

    def __init__(self, state: NodeState) -> None:
        self._state = state
        self._suspects = Suspects()

    async def install(self, command: Install, *, accepted: Callable[[float], None], say: Say) -> Outcome:
        """Install a bundle; `accepted` is told, once, how long it may take.

        Raises BundleError for a bundle that is refused; nothing was touched then.
        """
        async with self._state.lock:
            state = self._state
            checked = await check_bundle(state, command)
            state.unroomed = None
            state.prober.forget()
            former = state.holdings.live if state.file.journal.applied is not None else None
            changed = changed_parts(former, checked.manifest)
            consumers = due(state.services.consumers, checked.manifest, state.file.journal.loaded)
            seen = await look_first(state, consumers)
            stopped = await find_stopped(consumers, seen)
            ready, waits = await state.split(consumers)
            accepted(within_s(ready, rounds=1 + ATTEMPTS_MAX if len(changed) > 1 else 1))
            plan = _Plan(ready, waits, shown_leaves(seen), stopped, _logged(say))
            outcome = await self._run(checked, plan)
            if outcome.result == "rolled_back" and changed:
                return await self._search(checked, changed, plan)
            if outcome.result == "failed" and state.file.journal.applied is None:
                return await self._search_at_first(checked, changed, plan)
            return outcome

    async def resume(self, *, say: Say) -> Outcome | None:
        """Bring an installation to its end that was interrupted after the switch. Returns None if there was none."""
        async with self._state.lock:
            state = self._state
            journal, live = state.file.journal, state.holdings.live
            if journal.attempt is None:
                return None
            state.prober.forget()
            # after a power cut the services may not run yet, which is not the generation's fault
            seen = await look_first(state, state.services.consumers)
            stopped = await find_stopped(state.services.consumers, seen)
            plan = _Plan((), {}, shown_leaves(seen), stopped, _logged(say))
            is_lost = live is None or version_of(live) != journal.attempt.version
            # without its services nothing can be proven, and the old generation was
            if live is None or is_lost or journal.state == "rolling_back" or not state.is_services_known:
                cause = journal.cause or Cause(
                    phase="switch", reason=Reason.INTERRUPTED, message="the installation was interrupted"
                )
                outcome = await self._go_back(cause, plan, Proof())
            else:
                ready, waits = await state.split(due(state.services.consumers, live, journal.loaded))
                outcome = await self._prove(live, replace(plan, ready=ready, waits=waits))
            log.warning("install.recovered", generation=outcome.generation, message=outcome.result)
            return outcome

    # -- after a rollback

    async def _search(self, checked: Checked, changed: Sequence[Part], plan: "_Plan") -> Outcome:
        """Find out which parts were not taken, and install the others. Each attempt is a transaction of its own."""
        first = self._state.file.journal
        if (applied := await self._without_culprit(checked, changed, plan, needed=())) is not None:
            return applied
        if len(changed) == 1 and (why := self._why()) is not None and self._suspects.may_be(changed[0]):
            blaming = await hold_back(self._state, checked, {changed[0]: why})
            if blaming is not None:
                await self._state.file.keep(
                    steps.blame(self._state.file.journal, blaming.refused[changed[0]])
                )
        await self._state.file.keep(steps.tell_first(self._state.file.journal, first))
        return self._outcome()

    async def _search_at_first(self, checked: Checked, changed: Sequence[Part], plan: "_Plan") -> Outcome:
        """Do the same where there is nothing to go back to: if no other part goes live alone, all files stay."""
        state, first = self._state, self._state.file.journal
        needed = needed_at_first(checked.manifest, state.services.consumers, first.loaded)
        if (applied := await self._without_culprit(checked, changed, plan, needed=needed)) is not None:
            return applied
        await state.file.keep(steps.tell_first(state.file.journal, first))
        return self._outcome()

    async def _without_culprit(
        self, checked: Checked, changed: Sequence[Part], plan: "_Plan", *, needed: Collection[Part]
    ) -> Outcome | None:
        """Hold back one set of parts after the other. Return the outcome of the attempt that succeeds, None if none does."""
        state = self._state
        turns, tried = self._turns(changed, {}, needed), set[frozenset[Part]]()
        # whose copies have no place takes nothing
        unplaced = {name for name, wait in plan.waits.items() if wait.reason == "service"}
        placed = [one for one in state.services.consumers if one.name not in unplaced]
        while turns and len(tried) < ATTEMPTS_MAX:
            blamed = turns.pop(0)
            if frozenset(blamed) in tried:
                continue
            tried.add(frozenset(blamed))
            narrower = await hold_back(state, checked, blamed)
            if narrower is None:
                break
            if needed and not is_of_use(narrower.manifest, placed):
                continue
            await state.file.keep(steps.note_reloads(state.file.journal, plan.ready, now_s=state.clock()))
            ready, waits = await state.split(
                due(state.services.consumers, narrower.manifest, state.file.journal.loaded)
            )
            outcome = await self._run(narrower, replace(plan, ready=ready, waits=waits))
            if outcome.result == "applied" or (outcome.result == "failed" and not needed):
                return outcome
            turns += self._turns(changed, blamed, needed)
        return None

    def _turns(
        self, changed: Sequence[Part], held: Mapping[Part, Failed], needed: Collection[Part]
    ) -> list[dict[Part, Failed]]:
        """Return what to hold back next, each part with why, after the attempt without those `held` did not succeed."""
        why = self._why()
        if why is None:
            return []
        turns = hold_back_next(changed, frozenset(held), self._suspects, needed=needed)
        return [{**dict.fromkeys(parts, why), **held} for parts in turns]

    def _why(self) -> Failed | None:
        """Return why the last attempt did not succeed, None if no part of it is to blame."""
        failed, suspects = self._state.file.journal.last_failed, self._suspects
        is_blamable = bool(suspects.unwritten) or (failed is not None and failed.reason in SERVICE_REASONS)
        return failed if is_blamable else None

    # -- the transaction

    async def _run(self, checked: Checked, plan: "_Plan") -> Outcome:
        state, manifest, say = self._state, checked.manifest, plan.say
        self._suspects = Suspects()
        say("stage", "")
        attempt = checked.attempt(started_s=state.clock(), directory="")
        try:
            directory = await self._stage(manifest, checked.payloads)
            attempt = checked.attempt(started_s=state.clock(), directory=directory)
            await state.file.save(steps.begin(state.file.journal, attempt, plan.ready))
        except Exception as error:  # noqa: BLE001 - whatever it was, it must become an outcome
            return await self._fail(attempt, cause_of("stage", _ours(error)))
        say("switch", "")
        try:
            await asyncio.to_thread(self._switch, attempt.directory)
        except OSError as error:
            wrong = named("the new generation could not be made live", error)
            reason = wrong.reason if wrong.reason == Reason.NO_SPACE else Reason.SWITCH_FAILED
            cause = Cause(phase="switch", reason=reason, message=wrong.message)
            if await asyncio.to_thread(state.tree.live) != attempt.directory:
                return await self._fail(attempt, cause)
            return await self._go_back(cause, plan, Proof())
        return await self._prove(manifest, plan)

    async def _stage(self, manifest: Manifest, payloads: Mapping[Digest, bytes]) -> str:
        """Lay the generation out; return its directory. One that is live already, and right, is not laid out again."""
        state, directory = self._state, self._state.file.journal.directory
        if directory and state.holdings.live == manifest:
            listing = await asyncio.to_thread(state.tree.listing, directory)
            if not find_drift(listing, manifest, directory=directory, owners=state.tree.owners):
                return directory
        names = await asyncio.to_thread(state.tree.names)
        name = next_copy(names.keys(), manifest.epoch, manifest.generation)
        try:
            await asyncio.to_thread(state.tree.stage, name, manifest, payloads)
        except OSError as error:
            await asyncio.to_thread(self._drop, name)  # a full disk must not stay full of what was half-made
            raise named("the new generation could not be written", error) from error
        return name

    def _switch(self, name: str) -> None:
        tree = self._state.tree
        if name != self._state.file.journal.directory:
            tree.publish(name)
            tree.switch(name)

    async def _prove(self, manifest: Manifest, plan: "_Plan") -> Outcome:
        """The target is visible: reload and verify, then commit or go back."""
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
                # with nothing to go back to, each service that takes the files is one less to care for
                goes_on=state.file.journal.applied is None,
                say=plan.say,
            )
            if proof.cause is None:
                plan.say("commit", "")
                if state.file.journal.applied is None:
                    await self._take_copies_back(state.file.journal.directory, manifest)
                return await self._commit(manifest, proof, plan)
            self._suspects = Suspects(tuple(proof.failed), frozenset(proof.unwritten))
            cause = await self._explained(proof.cause, proof, target.directory)
        except Exception as error:  # noqa: BLE001 - the node must not stay between two generations
            cause = cause_of("commit", _ours(error))
        return await self._go_back(cause, plan, proof)

    async def _target(self, directory: str, manifest: Manifest, *, before: str) -> Target:
        wanted = await asyncio.to_thread(self._state.tree.wanted, directory, manifest, before=before)
        return Target(directory=directory, wanted=wanted)

    async def _explained(self, cause: Cause, proof: Proof, directory: str) -> Cause:
        """Add what is seen on the node now, before anything is taken back."""
        state, copies = self._state, [copy for one in proof.failed for copy in one.copies]
        listing = await asyncio.to_thread(state.tree.listing, directory)
        seen = await asyncio.to_thread(lambda: [look_at(copy) for copy in copies])
        text = await compose(
            said=proof.said,
            notes=state.prober.notes,
            files=(*listing.files, *(one for one in seen if one is not None)),
            consumers=proof.failed,
        )
        return msgspec.structs.replace(cause, diagnostics=text)

    async def _commit(self, manifest: Manifest, proof: Proof, plan: "_Plan") -> Outcome:
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
        state.holdings.went_live(manifest)
        state.holdings.must_wait(waits)
        if (previous := state.file.journal.previous) and previous != before.previous:
            await self.remember(previous)
        outcome = self._outcome()
        log.info(
            "install.applied",
            epoch=outcome.epoch,
            generation=outcome.generation,
            digest=outcome.digest,
            duration_ms=outcome.duration_ms,
            count=outcome.reloads,
        )
        return outcome

    async def remember(self, previous: str) -> None:
        """Point `previous` at a generation; if the disk refuses now, upkeep does it later."""
        try:
            await asyncio.to_thread(self._state.tree.remember, previous)
        except OSError as error:
            wrong = named("the link to the previous generation could not be made", error)
            log.warning("store.failed", reason=wrong.reason, message=wrong.message)

    # -- the ways out

    async def _fail(self, attempt: Attempt, cause: Cause) -> Outcome:
        """Nothing became visible: what ran before runs on."""
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
            wrong = named("what was staged could not be removed", error)
            log.warning("store.failed", reason=wrong.reason, message=wrong.message)

    async def _go_back(self, cause: Cause, plan: "_Plan", forward: Proof) -> Outcome:
        state, journal = self._state, self._state.file.journal
        old = await asyncio.to_thread(state.tree.manifest, journal.directory) if journal.directory else None
        target = journal.attempt.directory if journal.attempt is not None else ""
        if journal.applied is None or target == journal.directory or old is None:
            return await self._stay(cause, plan, forward)
        if not await asyncio.to_thread(state.tree.is_whole, journal.directory, old):
            return await self._stay(cause, plan, forward)
        plan.say("rollback", "")
        # who waits for a reload was not reloaded forward, and need not be reloaded back
        suspects = tuple(
            one
            for one in due(state.services.consumers, old, journal.loaded)
            if one.name not in journal.waiting
        )
        await state.file.keep(steps.turn_back(journal, cause, suspects))
        proof = Proof()
        try:
            await asyncio.to_thread(state.tree.switch, journal.directory)
            await self._take_copies_back(target, old)
            back = await self._target(journal.directory, old, before=target)
            stopped = await find_stopped(suspects, await look_first(state, suspects))
            proof = await prove_back(
                state,
                suspects,
                back,
                shown=NOTHING_SHOWN,
                dark={port for port, leaf in plan.shown.items() if not leaf},
                were_stopped=plan.stopped.keys(),
                stopped=stopped,
                say=plan.say,
            )
        except Exception as error:  # noqa: BLE001 - a failed rollback is an outcome, too
            proof.cause = cause_of("rollback", _ours(error))
        await state.file.keep(
            steps.turned_back(
                state.file.journal,
                old,
                proof.proven,
                trouble=proof.cause,
                now_s=state.clock(),
                reloads=forward.reloads + proof.reloads,
            )
        )
        state.holdings.went_live(old)
        return self._failed("install.rolled_back" if proof.cause is None else "install.failed")

    async def _take_copies_back(self, directory: str, manifest: Manifest) -> None:
        """Remove the copies that an attempt wrote from a directory, of slots that what runs from now on does not have."""
        state, entries = self._state, manifest.by_path()
        gone = [copy for one in state.services.consumers for copy in one.copies if copy.path not in entries]
        if gone and directory:
            await asyncio.to_thread(remove_copies, gone, lambda path: state.tree.body(directory, path))

    async def _stay(self, cause: Cause, plan: "_Plan", forward: Proof) -> Outcome:
        """There is no proven generation to go back to: the files stay, so that the services can be started on them."""
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
        state.holdings.must_wait({**state.holdings.waits, **waits})
        directory = state.file.journal.directory
        try:
            if await asyncio.to_thread(state.tree.live) != directory:
                await asyncio.to_thread(state.tree.switch, directory)
        except OSError as error:  # upkeep makes the link right
            wrong = named("the files of the first attempt could not be shown again", error)
            log.warning("store.failed", reason=wrong.reason, message=wrong.message)
        state.holdings.went_live(await asyncio.to_thread(state.tree.manifest, directory))
        return self._failed("install.failed")

    def _manifest_of_attempt(self) -> Manifest | None:
        attempt = self._state.file.journal.attempt
        return self._state.tree.manifest(attempt.directory) if attempt is not None else None

    def _failed(self, event: str) -> Outcome:
        outcome = self._outcome()
        log.error(
            event,
            epoch=outcome.epoch,
            generation=outcome.generation,
            digest=outcome.digest,
            phase=outcome.phase,
            reason=outcome.reason,
            message=outcome.message,
            duration_ms=outcome.duration_ms,
        )
        return outcome

    def _outcome(self) -> Outcome:
        state = self._state
        outcome = state.holdings.owed(state.clock())
        if outcome is None:
            raise InstallError("an installation ended without an outcome")
        return outcome


@dataclass(frozen=True, slots=True)
class _Plan:
    """Who is reloaded by this installation, who later, which leaf each port showed before it, who did not run, and whom to tell."""

    ready: tuple[Consumer, ...]
    waits: Mapping[str, Wait]
    shown: Mapping[Port, str]
    stopped: Mapping[str, Stopped]
    say: Say


def _ours(error: Exception) -> CertcastError:
    match error:
        case CertcastError():
            return error
        case OSError():
            return named("the disk refused", error)
        case _:
            log.error("task.failed", task="install", exc_info=error)
            return InstallError(f"an error of the agent itself: {type(error).__name__}")


def _logged(say: Say) -> Say:
    def say_and_log(phase: Phase, detail: str) -> None:
        log.debug("phase.entered", phase=phase, detail=detail)
        say(phase, detail)

    return say_and_log
