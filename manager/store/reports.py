"""The last report of each node."""

from collections.abc import Mapping, Sequence

from sqlalchemy import select

from common.ids import NodeName
from manager.domain.model import NodeReportRecord
from manager.store.engine import Database
from manager.store.nodes import node_ids
from manager.store.tables import node, report
from manager.store.translate import decode_report, encode_report


class Reports:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def record(self, records: Sequence[NodeReportRecord]) -> None:
        """Keep all or none, each in place of the node's last. Reports of nodes that were removed are dropped."""
        if not records:
            return
        async with self._database.write() as connection:
            found = await node_ids(connection, {each.node for each in records})
            rows = [
                {"node_id": found[each.node], "at_s": each.at_s, "body": encode_report(each)}
                for each in records
                if found.get(each.node) == each.node_id
            ]
            await self._database.upsert(connection, report, rows, key="node_id")

    async def all(self) -> Mapping[NodeName, NodeReportRecord]:
        """Return the last report of each node that made one."""
        query = select(node.c.name, report.c.body).join_from(report, node)
        async with self._database.read() as connection:
            return {NodeName(row.name): decode_report(row.body) for row in await connection.execute(query)}
