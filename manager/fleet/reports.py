"""Keeps what nodes report, many in one transaction, and only then lets their outcomes be acknowledged.

Owns the order "on disk first, acknowledged after". Invariant: a report that was put is written or still waiting; a
failing store delays acknowledgements and loses nothing, because nodes keep an outcome until it is acknowledged.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, Protocol

import structlog

from common.errors import StorageError
from common.ids import NodeName
from manager.domain.model import NodeReportRecord

log = structlog.get_logger(__name__)

GATHER_S: Final = 0.02
"""How long the first report of a batch waits for company: one fsync then serves a whole wave of outcomes."""

RETRY_S: Final = 1.0
"""How long to wait after the store failed."""


class Reports(Protocol):
    """Where reports are kept."""

    async def record(self, records: Sequence[NodeReportRecord]) -> object:
        """Write all or none. Raises StorageError."""


class ReportWriter:
    """A queue in front of the store's reports, the newest record of each node."""

    def __init__(self, reports: Reports) -> None:
        self._reports = reports
        self._records: dict[NodeName, NodeReportRecord] = {}
        self._then: list[Callable[[], None]] = []
        self._waiting = asyncio.Event()
        self.failures = 0

    def put(self, record: NodeReportRecord, then: Callable[[], None] | None = None) -> None:
        """Keep a record soon; call `then` once it is on disk."""
        self._records[record.node] = record
        if then is not None:
            self._then.append(then)
        self._waiting.set()

    def forget(self, node: NodeName) -> None:
        """Drop what waits of a node that was removed."""
        self._records.pop(node, None)

    async def run(self) -> None:
        """Write batches until cancelled."""
        while True:
            await self._waiting.wait()
            await asyncio.sleep(GATHER_S)
            await self.flush()

    async def flush(self) -> None:
        """Write what waits now."""
        self._waiting.clear()
        records, self._records = self._records, {}
        then, self._then = self._then, []
        try:
            if records:
                await self._reports.record(list(records.values()))
        except StorageError as error:
            self.failures += 1
            log.error("store.failed", reason=error.reason, message=error.message, retry_after_s=RETRY_S)
            self._records = {**records, **self._records}
            self._then = [*then, *self._then]
            await asyncio.sleep(RETRY_S)
            self._waiting.set()
            return
        for call in then:
            call()
