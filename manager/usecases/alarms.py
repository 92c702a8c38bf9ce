"""Alarms as operators see and acknowledge them: the active ones and the past ones.

`manager.usecases.alarm_evaluation` detects them; this module adds one alarm while that evaluation is overdue.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from common.ids import NodeName
from manager.domain.alarms import ALARM_SPECS, AlarmRecord, evaluation_silent
from manager.usecases.alarm_evaluation import SILENT_S, AlarmEvaluator
from manager.usecases.context import Context

HISTORY_KEPT: Final = 10_000
HISTORY_KEPT_EACH: Final = 200
"""Past alarms kept of one kind and subject, so that a flapping node does not displace the alarms of others."""

HISTORY_MAX: Final = 1_000
"""Past alarms in one answer."""

LEVELS: Final = ("error", "warning")
"""Levels, the most severe first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmOverview:
    """Number of active alarms, number of unacknowledged ones per level, and the first active ones."""

    first: Sequence[AlarmRecord]
    unacknowledged: Mapping[str, int]
    total: int


class AlarmNews:
    """Change flag of the active alarms for one watcher; `wake` is called on a change."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._has_changed = True

    def note(self) -> None:
        """Note a change."""
        self._has_changed = True
        self._wake()

    def take(self) -> bool:
        """Return whether there was a change since the last call; the first call returns True."""
        was, self._has_changed = self._has_changed, False
        return was


class AlarmUseCases:
    def __init__(self, context: Context) -> None:
        self._context = context
        self._watching: set[AlarmNews] = set()
        self.evaluator = AlarmEvaluator(context, changed=self._note_change)

    @contextmanager
    def watch(self, wake: Callable[[], None]) -> Iterator[AlarmNews]:
        """Register a watcher for changes of `active`.

        The mere passing of time while no one reads it is not a change.
        """
        news = AlarmNews(wake)
        self._watching.add(news)
        try:
            yield news
        finally:
            self._watching.discard(news)

    def changed_elsewhere(self) -> None:
        """Notify watchers that another manager may have changed the result of `active`."""
        self._note_change()

    def _note_change(self) -> None:
        for news in self._watching:
            news.note()

    async def active_of(self, node: NodeName) -> Sequence[AlarmRecord]:
        """Return the active alarms of one node, the latest first."""
        return await self._context.store.alarms.active(node=node)

    async def overview(self, *, shown: int) -> AlarmOverview:
        """Return the number of active alarms and the first `shown`: errors before warnings, the latest first."""
        counts = await self._context.store.alarms.counts()
        first: list[AlarmRecord] = []
        for level in LEVELS:
            kinds = [kind for kind, spec in ALARM_SPECS.items() if spec.level == level]
            if len(first) < shown:
                first += await self._context.store.alarms.first_active(kinds, limit=shown - len(first))
        unseen = Counter[str]()
        for kind, is_seen, count in counts:
            unseen[ALARM_SPECS[kind].level] += 0 if is_seen else count
        total = sum(count for _, _, count in counts)
        silent_kind = evaluation_silent.SUBJECT.kind
        if self.evaluator.is_silent and all(kind is not silent_kind for kind, _, _ in counts):
            silence = self._silence()
            unseen[silence.spec.level] += 1
            first, total = [silence, *first][:shown], total + 1
        return AlarmOverview(first=first, unacknowledged=unseen, total=total)

    async def active(self) -> Sequence[AlarmRecord]:
        """Return the active alarms, the latest first; an overdue evaluation comes before all others."""
        active = list(await self._context.store.alarms.active())
        if self.evaluator.is_silent and all(record.subject != evaluation_silent.SUBJECT for record in active):
            active.insert(0, self._silence())
        return active

    async def active_by_node(self) -> Sequence[tuple[AlarmRecord, Sequence[NodeName]]]:
        """Return the result of `active`, each alarm with the nodes that it concerns."""
        inventory = await self._context.inventories.current()
        return [(each, each.nodes(inventory)) for each in await self.active()]

    async def history(self, *, limit: int = HISTORY_MAX) -> Sequence[AlarmRecord]:
        """Return alarms that are no longer active, the latest first."""
        return await self._context.store.alarms.history(limit=max(1, min(limit, HISTORY_MAX)))

    async def everything(self) -> Sequence[AlarmRecord]:
        """Return active and past alarms, each once."""
        records = {each.id: each for each in await self._context.store.alarms.active()}
        # active alarms are read last, so one that was cleared in between shows as cleared
        records |= {each.id: each for each in await self._context.store.alarms.history(limit=HISTORY_KEPT)}
        return list(records.values())

    async def acknowledge(self, alarm_ids: Sequence[int], *, actor: str) -> None:
        """Acknowledge these alarms for an operator. Raises NotFoundError if one of them is not active."""
        async with self._context.store.transaction():
            await self._context.store.alarms.acknowledge(alarm_ids, actor=actor, now_s=self._context.clock())
            for number in dict.fromkeys(alarm_ids):
                await self._context.audit(actor, "alarm.acknowledged", f"alarm {number}")
            self._context.store.after_commit(self._note_change)

    async def collect(self) -> None:
        """Delete alarms that ended long ago. Raises StorageError."""
        await self._context.store.alarms.collect(keep=HISTORY_KEPT, keep_each=HISTORY_KEPT_EACH)

    def _silence(self) -> AlarmRecord:
        age_s = self.evaluator.age_s()
        condition = evaluation_silent.condition(age_s)
        return AlarmRecord(
            id=0,
            subject=condition.subject,
            label=condition.label,
            node=condition.node,
            details=condition.details,
            raised_s=self._context.clock() - age_s + SILENT_S,
            lowered_s=None,
            acknowledged_s=None,
            acknowledged_by=None,
        )
