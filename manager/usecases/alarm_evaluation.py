"""Alarm evaluation: repeated detection of faults by the leading manager.

Decides when to evaluate; `manager.domain.alarms` decides what counts as a fault. Invariant: alarms are raised
and cleared by the current state alone, so a missed event delays an alarm but never loses it. A missing
evaluation is an alarm, too.
"""

import asyncio
import contextlib
from collections.abc import Callable, Collection, Sequence
from typing import Final

import structlog

from common.bundle.manifest import CERTIFICATE, CHAIN, parse_manifest
from common.codes import Fault
from common.errors import NotFoundError, StorageError
from common.ids import NodeName
from common.runtime.long_loops import by_turns
from manager.domain.alarms import (
    AlarmChanges,
    Condition,
    OnsetDelay,
    Subject,
    audit_log_broken,
    compare,
    evaluation_silent,
    manager_token_reused,
)
from manager.domain.incremental_conditions import IncrementalConditions
from manager.domain.inventory import Entry, Inventory
from manager.domain.republishing import entry_of
from manager.domain.view import NodeView
from manager.usecases.context import Context
from manager.usecases.ports import FleetView, Lead
from manager.usecases.renewal.alarm_conditions import conditions_of_renewals
from manager.usecases.views import views_of

log = structlog.get_logger(__name__)

EVALUATE_S: Final = 10.0
"""Interval of evaluations without events: time alone raises alarms."""

EVERYTHING_S: Final = 60.0
"""Interval of full evaluations: time alone changes little (`manager.domain.incremental_conditions`)."""

SETTLE_S: Final = 1.0
"""Delay after an event, so that a burst of changes leads to one evaluation."""

SILENT_S: Final = 120.0
"""An evaluation older than this raises an alarm."""

EVALUATED: Final = "alarms-evaluated"
"""Name under which the store has the last evaluation, for the managers that do not lead."""

SHOWN_EACH_S: Final = 30.0
"""Minimum interval of writing it."""


class AlarmEvaluator:
    """Evaluates alarms; the composition root supervises `run`.

    `changed` is called when active alarms may have changed.
    """

    def __init__(self, context: Context, *, changed: Callable[[], None]) -> None:
        self._context = context
        self._changed = changed
        self._onset_delay = OnsetDelay()
        self._evaluated_s = context.monotonic()
        self._shown_s = float("-inf")
        self._seen: bytes | None = None
        self._conditions = IncrementalConditions()
        self._everything_s = float("-inf")

    @property
    def is_silent(self) -> bool:
        """Whether the last evaluation is too long ago."""
        return self.age_s() > SILENT_S

    def age_s(self) -> float:
        """Return the seconds since any manager last evaluated the alarms."""
        return self._context.monotonic() - self._evaluated_s

    async def run(self, fleet: FleetView, lead: Lead) -> None:
        """Evaluate on every change and every few seconds, until cancelled.

        While another manager leads, watch its heartbeat.
        """
        content_changed = self._context.content_changed
        with fleet.subscribe() as changes:
            while True:
                content_changed.clear()
                try:
                    if lead.is_ours:
                        with lead.enforced():
                            await self._evaluate(fleet, await changes.take_names(0.0))
                            await self._show()
                    else:
                        self._everything_s = float("-inf")
                        await self._read_heartbeat()
                except StorageError as error:
                    # the set of changed nodes was lost
                    self._everything_s = float("-inf")
                    log.error("alarms.failed", reason=error.reason, message=error.message)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(EVALUATE_S):
                        await content_changed.wait()
                await asyncio.sleep(SETTLE_S)

    async def evaluate(self, fleet: FleetView) -> AlarmChanges:
        """Evaluate everything once and update the alarms. Raises StorageError."""
        self._everything_s = float("-inf")
        return await self._evaluate(fleet, ())

    async def _evaluate(self, fleet: FleetView, changed: Collection[NodeName]) -> AlarmChanges:
        """Evaluate these nodes and other recent changes; evaluate everything if that is overdue.

        Raises StorageError.
        """
        inventory = await self._context.inventories.current()
        if self._context.monotonic() - self._everything_s >= EVERYTHING_S:
            self._conditions, self._everything_s = IncrementalConditions(), self._context.monotonic()
        due = self._conditions.due(inventory, changed)
        views = await views_of(fleet, fleet.names() if due.names is None else sorted(due.names))
        now_s = self._context.clock()
        # building chains for the first time takes seconds with thousands of certificates
        republished = await self._republished(inventory, views, now_s)
        found = await asyncio.to_thread(
            self._conditions.look, inventory, views, due, republished=republished, now_s=now_s
        )
        found += await self._faults_of_audit(inventory)
        reuses = await self._context.store.manager_tokens.reuses(now_s=now_s)
        found += [manager_token_reused.condition(each) for each in reuses]
        found += await conditions_of_renewals(self._context.store, inventory, now_s=now_s)
        lasting = self._onset_delay.lasting(found, now_s=self._context.monotonic())
        changes = compare(await self._context.store.alarms.active(), lasting)
        if not changes.is_empty:
            await self._context.store.alarms.apply(changes, now_s=now_s)
            await _log_changes(changes)
            self._changed()
        await self._end_silence(now_s)
        return changes

    async def _faults_of_audit(self, inventory: Inventory) -> Sequence[Condition]:
        """Return the faults of the audit log that this manager and the others have found."""
        store, own = self._context.store, self._context.own_node
        found: dict[Subject, Condition] = {}
        faults = {own: await store.audit.find_fault()}
        if store.is_shared:
            faults |= {node: each for node, each in (await store.audit_faults.told()).items() if node != own}
        for node, fault in faults.items():
            if fault is not Fault.NONE and (node == own or node in inventory.nodes):
                condition = audit_log_broken.condition(fault, node)
                # a fault of the log is one alarm, whichever manager finds it
                found.setdefault(condition.subject, condition)
        return list(found.values())

    async def _show(self) -> None:
        """Publish a heartbeat for the other managers."""
        now_s = self._context.monotonic()
        if self._context.store.is_shared and now_s - self._shown_s >= SHOWN_EACH_S:
            await self._context.store.meta.set(EVALUATED, repr(self._context.clock()).encode())
            self._shown_s = now_s

    async def _read_heartbeat(self) -> None:
        """Check whether another manager has evaluated since.

        Only a changed value counts, since clocks may differ.
        """
        seen = await self._context.store.meta.get(EVALUATED)
        if seen != self._seen:
            self._seen, self._evaluated_s = seen, self._context.monotonic()
            self._changed()

    async def _republished(
        self, inventory: Inventory, views: Sequence[NodeView], now_s: float
    ) -> dict[NodeName, Entry]:
        """Return the server certificate of each node whose older content was republished."""
        store, found = self._context.store.generations, {}
        for view in views:
            if not view.republished or view.desired is None:
                continue
            # the next evaluation covers generations that were published just now
            with contextlib.suppress(NotFoundError):
                record = await store.get(view.name, number=view.desired.generation)
                files = parse_manifest(record.manifest).by_path()
                wanted = [
                    files[path].digest
                    for path in (f"server/{CERTIFICATE}", f"server/{CHAIN}")
                    if path in files
                ]
                bodies = await store.payloads(frozenset(wanted))
                entry = entry_of(inventory, [bodies.get(each, b"") for each in wanted], now_s=now_s)
                if entry is not None:
                    found[view.name] = entry
        return found

    async def _end_silence(self, now_s: float) -> None:
        """Record a period without evaluations."""
        silent_s, self._evaluated_s = self.age_s(), self._context.monotonic()
        if silent_s > SILENT_S:
            raised = AlarmChanges(raised=[evaluation_silent.condition(silent_s)], lowered=[], updated={})
            await self._context.store.alarms.apply(raised, now_s=now_s - silent_s + SILENT_S)
            lasting_silence = [
                each
                for each in await self._context.store.alarms.active()
                if each.subject == evaluation_silent.SUBJECT
            ]
            lowered = AlarmChanges(raised=[], lowered=lasting_silence, updated={})
            await self._context.store.alarms.apply(lowered, now_s=now_s)
            await _log_changes(raised)
            await _log_changes(lowered)
            self._changed()


async def _log_changes(changes: AlarmChanges) -> None:
    async for condition in by_turns(changes.raised):
        log.warning(
            "alarm.raised", alarm=condition.subject.kind, subject=condition.label, message=condition.details
        )
    async for record in by_turns(changes.lowered):
        log.info("alarm.lowered", alarm=record.subject.kind, subject=record.label)
