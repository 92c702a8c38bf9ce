"""Report writer: stores nodes' reports, many per transaction, and then lets outcomes be acknowledged.

Owns the order "on disk first, acknowledged after". Invariant: a queued report is written or still waiting,
unless its session ended. A failing store delays acknowledgements and loses nothing, because nodes keep an
outcome until it is acknowledged.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import structlog

from common.errors import StorageError
from common.ids import NodeName
from manager.domain.facts import NodeFacts
from manager.domain.model import NodeReportRecord
from manager.domain.node_records import record_of

log = structlog.get_logger(__name__)

GATHER_S: Final = 0.02
"""How long a batch's first report waits for others, so that one fsync serves a whole wave of outcomes."""

RETRY_S: Final = 1.0
"""How long to wait after the store failed."""


class Reports(Protocol):
    """The store of reports."""

    async def record(
        self, records: Sequence[NodeReportRecord], *, held: Mapping[NodeName, int]
    ) -> Mapping[NodeName, int | None]:
        """Write the records whose sessions still have these numbers; return each node's session number.

        Raises StorageError.
        """


class OnSessionEnd(Protocol):
    """Called with the number of an ended session: replaced, its node removed, or released (`is_nobodys`)."""

    def __call__(self, node: NodeName, session: int, *, is_nobodys: bool) -> None: ...


@dataclass(frozen=True, slots=True)
class _Then:
    """A callback once a session's report is on disk."""

    node: NodeName
    session: int
    call: Callable[[], None]


class ReportWriter:
    """A queue in front of the store's reports, with the newest record of each node.

    `ended` is called with each session for which the store accepts no more reports.
    """

    def __init__(self, reports: Reports, *, ended: OnSessionEnd) -> None:
        self._reports = reports
        self._ended = ended
        self._records: dict[NodeName, tuple[NodeReportRecord, int]] = {}
        self._writing: dict[NodeName, tuple[NodeReportRecord, int]] = {}
        self._then: list[_Then] = []
        self._waiting = asyncio.Event()
        self.failures = 0

    def put(self, facts: NodeFacts, now_s: float, then: Callable[[], None] | None = None) -> None:
        """Store soon what is known of a node held by this manager; call `then` once it is on disk."""
        self._records[facts.name] = record_of(facts, now_s), facts.session
        if then is not None:
            self._then.append(_Then(facts.name, facts.session, then))
        self._waiting.set()

    def has(self, node: NodeName) -> bool:
        """Whether a record of this node waits or is being written."""
        return node in self._records or node in self._writing

    def forget(self, node: NodeName) -> None:
        """Drop a removed node's waiting record and callbacks."""
        self._records.pop(node, None)
        self._then = [each for each in self._then if each.node != node]

    async def run(self) -> None:
        """Write batches until cancelled."""
        while True:
            await self._waiting.wait()
            await asyncio.sleep(GATHER_S)
            await self.flush()

    async def flush(self) -> None:
        """Write the waiting records now."""
        self._waiting.clear()
        records, self._records = self._records, {}
        then, self._then = self._then, []
        self._writing = records
        sessions = {name: session for name, (_, session) in records.items()}
        try:
            present = await self._write([record for record, _ in records.values()], sessions)
        except StorageError as error:
            self.failures += 1
            log.error("store.failed", reason=error.reason, message=error.message, retry_after_s=RETRY_S)
            self._records = {**records, **self._records}
            self._then = [*then, *self._then]
            await asyncio.sleep(RETRY_S)
            self._waiting.set()
            return
        finally:
            self._writing = {}
        for each in then:
            if each.session == sessions[each.node] == present.get(each.node):
                each.call()
        for name, session in sessions.items():
            if present.get(name) != session:
                self._ended(name, session, is_nobodys=name in present and present[name] is None)

    async def _write(
        self, records: Sequence[NodeReportRecord], sessions: Mapping[NodeName, int]
    ) -> Mapping[NodeName, int | None]:
        return await self._reports.record(records, held=sessions) if records else {}
