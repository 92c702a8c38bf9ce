"""The installation of one bundle, in as many attempts as needed to find the part that is to blame.

Decides which attempts to make: first the whole bundle and, if that fails, fewer of its parts. Leaves each attempt to
`transaction`, and the choice of parts to hold back to `nodeagent.core.culprit`.
Invariant: each attempt ends before the next begins, and the manager gets one outcome: that of the successful attempt,
or of the first if none succeeds.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Final

import structlog

from common.bundle.parts import Part, changed_parts
from common.codes import Phase
from common.errors import Reason
from common.wire.messages import Outcome
from common.wire.receiver import Install
from nodeagent.core import steps
from nodeagent.core.culprit import ATTEMPTS_MAX, hold_back_next, is_of_use, needed_at_first
from nodeagent.core.journal import Cause, version_of
from nodeagent.core.plan import due, within_s
from nodeagent.core.quarantine import Failed
from nodeagent.install.preflight import Checked, check_bundle, hold_back
from nodeagent.install.proof import Proof, probe_baseline, shown_leaves
from nodeagent.install.state import NodeState, ProgressCallback
from nodeagent.install.stopped import find_stopped
from nodeagent.install.transaction import Plan, Transaction

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
"""The reasons that a service gives by its reload or its ports."""


class Installer:
    """Installs bundles on one node. One installation runs at a time; a second caller waits."""

    def __init__(self, state: NodeState) -> None:
        self._state = state
        self._transaction = Transaction(state)

    async def install(
        self, command: Install, *, accepted: Callable[[float], None], progress: ProgressCallback
    ) -> Outcome:
        """Install a bundle; `accepted` is called once, with the time limit.

        Raises BundleError if the bundle is refused, in which case nothing was touched.
        """
        async with self._state.lock:
            state = self._state
            checked = await check_bundle(state, command)
            state.unroomed = None
            state.prober.forget()
            former = state.local.live if state.file.journal.applied is not None else None
            changed = changed_parts(former, checked.manifest)
            consumers = due(state.services.consumers, checked.manifest, state.file.journal.loaded)
            seen = await probe_baseline(state, consumers)
            stopped = await find_stopped(consumers, seen)
            ready, waits = await state.split(consumers)
            accepted(within_s(ready, rounds=1 + ATTEMPTS_MAX if len(changed) > 1 else 1))
            plan = Plan(ready, waits, shown_leaves(seen), stopped, _logged(progress))
            outcome = await self._transaction.run(checked, plan)
            if outcome.result == "rolled_back" and changed:
                return await self._search(checked, changed, plan)
            if outcome.result == "failed" and state.file.journal.applied is None:
                return await self._search_at_first(checked, changed, plan)
            return outcome

    async def resume(self, *, progress: ProgressCallback) -> Outcome | None:
        """Complete an installation that was interrupted after the switch. Returns None if there was none."""
        async with self._state.lock:
            state = self._state
            journal, live = state.file.journal, state.local.live
            if journal.attempt is None:
                return None
            state.prober.forget()
            # after a power cut the services may not be running yet, which is not the generation's fault
            seen = await probe_baseline(state, state.services.consumers)
            stopped = await find_stopped(state.services.consumers, seen)
            plan = Plan((), {}, shown_leaves(seen), stopped, _logged(progress))
            is_lost = live is None or version_of(live) != journal.attempt.version
            # without its services nothing can be proven, and the old generation was proven
            if live is None or is_lost or journal.state == "rolling_back" or not state.is_services_known:
                cause = journal.cause or Cause(
                    phase="switch", reason=Reason.INTERRUPTED, message="the installation was interrupted"
                )
                outcome = await self._transaction.roll_back(cause, plan, Proof())
            else:
                ready, waits = await state.split(due(state.services.consumers, live, journal.loaded))
                outcome = await self._transaction.prove(live, replace(plan, ready=ready, waits=waits))
            log.warning("install.recovered", generation=outcome.generation, message=outcome.result)
            return outcome

    # -- after a rollback

    async def _search(self, checked: Checked, changed: Sequence[Part], plan: Plan) -> Outcome:
        """Find the rejected parts and install the others. Each attempt is a separate transaction."""
        first = self._state.file.journal
        if (applied := await self._without_culprit(checked, changed, plan, needed=())) is not None:
            return applied
        if (
            len(changed) == 1
            and (why := self._why()) is not None
            and self._transaction.suspects.may_be(changed[0])
        ):
            blaming = await hold_back(self._state, checked, {changed[0]: why})
            if blaming is not None:
                await self._state.file.keep(
                    steps.blame(self._state.file.journal, blaming.refused[changed[0]])
                )
        await self._state.file.keep(steps.report_first_failure(self._state.file.journal, first))
        return self._transaction.outcome()

    async def _search_at_first(self, checked: Checked, changed: Sequence[Part], plan: Plan) -> Outcome:
        """Find the rejected parts without a generation to go back to. If no other part goes live, all files stay."""
        state, first = self._state, self._state.file.journal
        needed = needed_at_first(checked.manifest, state.services.consumers, first.loaded)
        if (applied := await self._without_culprit(checked, changed, plan, needed=needed)) is not None:
            return applied
        await state.file.keep(steps.report_first_failure(state.file.journal, first))
        return self._transaction.outcome()

    async def _without_culprit(
        self, checked: Checked, changed: Sequence[Part], plan: Plan, *, needed: Collection[Part]
    ) -> Outcome | None:
        """Hold back one set of parts after another. Return the outcome of the successful attempt, None if none."""
        state = self._state
        turns, tried = self._turns(changed, {}, needed), set[frozenset[Part]]()
        # a service whose copies have no place accepts nothing
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
            outcome = await self._transaction.run(narrower, replace(plan, ready=ready, waits=waits))
            if outcome.result == "applied" or (outcome.result == "failed" and not needed):
                return outcome
            turns += self._turns(changed, blamed, needed)
        return None

    def _turns(
        self, changed: Sequence[Part], held: Mapping[Part, Failed], needed: Collection[Part]
    ) -> list[dict[Part, Failed]]:
        """Return the parts to hold back next, with the reasons, after the attempt without `held` failed."""
        why = self._why()
        if why is None:
            return []
        turns = hold_back_next(changed, frozenset(held), self._transaction.suspects, needed=needed)
        return [{**dict.fromkeys(parts, why), **held} for parts in turns]

    def _why(self) -> Failed | None:
        """Return why the last attempt failed, None if no part of it is to blame."""
        failed, suspects = self._state.file.journal.last_failed, self._transaction.suspects
        is_blamable = bool(suspects.unwritten) or (failed is not None and failed.reason in SERVICE_REASONS)
        return failed if is_blamable else None


def _logged(progress: ProgressCallback) -> ProgressCallback:
    def log_and_report(phase: Phase, detail: str) -> None:
        log.debug("phase.entered", phase=phase, detail=detail)
        progress(phase, detail)

    return log_and_report
