"""Alarms as operators see and acknowledge them: those that are active, and those that were.

Leaves finding them to `manager.usecases.alarm_evaluation`, and shows one of its own while that is overdue.
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
"""Of one kind and subject, so that a node whose reports change all the time leaves the others theirs."""

HISTORY_MAX: Final = 1_000
"""Alarms that one answer tells of the past."""

LEVELS: Final = ("error", "warning")
"""The worst first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmOverview:
    """How many alarms are active, how many of each level nobody has seen, and the first of all."""

    first: Sequence[AlarmRecord]
    unacknowledged: Mapping[str, int]
    total: int


class AlarmNews:
    """Whether the active alarms changed since it was last asked; `wake` is called when it does."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._has_changed = True

    def note(self) -> None:
        """Note that something changed."""
        self._has_changed = True
        self._wake()

    def take(self) -> bool:
        """Return whether there is news, and wait for the next; to begin with there is."""
        was, self._has_changed = self._has_changed, False
        return was


class AlarmUseCases:
    def __init__(self, context: Context) -> None:
        self._context = context
        self._watching: set[AlarmNews] = set()
        self.evaluator = AlarmEvaluator(context, changed=self._note_change)

    @contextmanager
    def watch(self, wake: Callable[[], None]) -> Iterator[AlarmNews]:
        """Lend what tells that what `active` returns changed; not that time passes while nobody looks."""
        news = AlarmNews(wake)
        self._watching.add(news)
        try:
            yield news
        finally:
            self._watching.discard(news)

    def changed_elsewhere(self) -> None:
        """Note that another manager may have changed what `active` returns: who watches is told."""
        self._note_change()

    def _note_change(self) -> None:
        for news in self._watching:
            news.note()

    async def active_of(self, node: NodeName) -> Sequence[AlarmRecord]:
        """Return the active alarms of one node, the latest first."""
        return await self._context.store.alarms.active(node=node)

    async def overview(self, *, shown: int) -> AlarmOverview:
        """Return how many alarms are active, and the first of them: errors before warnings, the latest first, as `active` has them."""
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
        """Return the active alarms, the latest first; before all others the one that evaluation is overdue."""
        active = list(await self._context.store.alarms.active())
        if self.evaluator.is_silent and all(record.subject != evaluation_silent.SUBJECT for record in active):
            active.insert(0, self._silence())
        return active

    async def active_by_node(self) -> Sequence[tuple[AlarmRecord, Sequence[NodeName]]]:
        """Return what `active` does, each with the nodes that it concerns."""
        inventory = await self._context.inventories.current()
        return [(each, each.nodes(inventory)) for each in await self.active()]

    async def history(self, *, limit: int = HISTORY_MAX) -> Sequence[AlarmRecord]:
        """Return alarms that are no longer active, the latest first."""
        return await self._context.store.alarms.history(limit=max(1, min(limit, HISTORY_MAX)))

    async def everything(self) -> Sequence[AlarmRecord]:
        """Return active and past alarms, each once."""
        records = {each.id: each for each in await self._context.store.alarms.active()}
        # read last, and so what was lowered in between is told as lowered
        records |= {each.id: each for each in await self._context.store.alarms.history(limit=HISTORY_KEPT)}
        return list(records.values())

    async def acknowledge(self, alarm_ids: Sequence[int], *, actor: str) -> None:
        """Note that an operator has seen these. Raises NotFoundError if one of them is not active."""
        async with self._context.store.transaction():
            await self._context.store.alarms.acknowledge(alarm_ids, actor=actor, now_s=self._context.clock())
            for number in dict.fromkeys(alarm_ids):
                await self._context.audit(actor, "alarm.acknowledged", f"alarm {number}")
            self._context.store.after_commit(self._note_change)

    async def collect(self) -> None:
        """Forget alarms that ended long ago. Raises StorageError."""
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
