"""The last report of each node."""

from collections.abc import Mapping, Sequence

from sqlalchemy import select

from common.ids import NodeName
from manager.domain.model import NodeReportRecord
from manager.store.engine import Database
from manager.store.holds import sessions_of
from manager.store.tables.content import node, report
from manager.store.translate import decode_report, encode_report


class Reports:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def record(
        self, records: Sequence[NodeReportRecord], *, held: Mapping[NodeName, int] | None = None
    ) -> Mapping[NodeName, int | None]:
        """Store reports, each replacing its node's last, in one transaction.

        Return each node's session number.

        Reports of removed nodes and of ended sessions are dropped: `held` are the sessions' numbers, None
        where a single manager runs, which holds none. Raises MembershipLostError, StorageError; then none is
        stored.
        """
        if not records:
            return {}
        async with self._database.write() as connection:
            there = await sessions_of(connection, {each.node for each in records})
            kept = [
                each
                for each in records
                if (own := there.get(each.node)) is not None
                and own.node_id == each.node_id
                and (held is None or (own.number is not None and own.number == held.get(each.node)))
            ]
            rows = [
                {"node_id": each.node_id, "at_s": each.at_s, "body": encode_report(each)} for each in kept
            ]
            await self._database.upsert(connection, report, rows, key="node_id")
            await self._database.changed(connection, {each.node_id for each in kept})
        return {name: each.number for name, each in there.items()}

    async def all(self) -> Mapping[NodeName, NodeReportRecord]:
        """Return the last report of each node that ever sent one."""
        query = select(node.c.name, report.c.body).join_from(report, node)
        async with self._database.read() as connection:
            return {NodeName(row.name): decode_report(row.body) for row in await connection.execute(query)}
