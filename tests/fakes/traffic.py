"""Writers and readers of a store that note what they were told, for tests in which something happens to it meanwhile."""

import asyncio
import itertools
from collections.abc import Iterator
from contextlib import contextmanager

from common.errors import Reason, StorageError
from common.ids import NodeName
from manager.store.store import Store
from tests.unit.store.given import add_nodes


async def names(store: Store) -> list[str]:
    return [record.name for record in await store.nodes.list()]


class Traffic:
    """Writers and a reader that go on whatever they are told, until `is_over`."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.acknowledged: list[NodeName] = []
        self.told: list[StorageError] = []
        self.is_over = False
        self._grown = asyncio.Condition()

    async def write(self, which: str) -> None:
        for number in itertools.count():
            if self.is_over:
                return
            name = NodeName(f"{which}{number}")
            with self._telling():
                async with self.store.transaction():
                    await add_nodes(self.store, name)
                    await self.store.audit.append(at_s=1.0, actor="writer", action="added", subject=name)
                self.acknowledged.append(name)
            async with self._grown:
                self._grown.notify_all()

    async def read(self) -> None:
        while not self.is_over:
            before = len(self.acknowledged)
            with self._telling():
                assert len(await names(self.store)) >= before
            await asyncio.sleep(0)

    async def more(self, count: int) -> None:
        """Wait until so many more were acknowledged."""
        wanted = len(self.acknowledged) + count
        async with self._grown:
            await self._grown.wait_for(lambda: len(self.acknowledged) >= wanted)

    async def check_whole(self) -> None:
        """Check that all that was acknowledged is there, nothing is there by half, and the next write works."""
        there = set(await names(self.store))
        assert [name for name in self.acknowledged if name not in there] == []
        assert (await self.store.audit.verify()).broken_at is None
        assert {record.subject for record in await self.store.audit.list(limit=1_000_000)} == there
        # what is there and was not acknowledged was said to be unknown
        unknown = sum(error.reason is Reason.OUTCOME_UNKNOWN for error in self.told)
        assert len(there) - len(self.acknowledged) <= unknown
        await self.store.check()

    @contextmanager
    def _telling(self) -> Iterator[None]:
        try:
            yield
        except StorageError as error:
            self.told.append(error)
