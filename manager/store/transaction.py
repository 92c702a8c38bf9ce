"""Transaction of the store that is open: its purpose, its effects, and what went wrong in it.

Decides that a failed part undoes the whole; `manager.store.engine` begins and ends it.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from common.ids import CertificateId, NodeName
from manager.store.journal import Touched


@dataclass(slots=True, kw_only=True)
class Transaction:
    """One writer's transaction.

    `failed` is the first error of an inner block, so that no half is ever committed.

    `broken` is why a statement failed. PostgreSQL undoes the whole transaction then, but its COMMIT does not
    fail, so code that caught the error inside would believe that the rest was committed. `effects` run once
    it is on disk, before the next writer begins. `number` is its own among all transactions, 0 until it is
    drawn. `revision` is that of the content that it leaves, None if it changes none or has not ended.
    """

    task: asyncio.Task[Any] | None
    connection: AsyncConnection
    rights: bool
    content: bool = False
    number: int = 0
    revision: int | None = None
    touched: Touched = field(default_factory=Touched)
    failed: BaseException | None = None
    broken: BaseException | None = None
    effects: list[Callable[[], None]] = field(default_factory=list)

    def touch(
        self,
        *,
        nodes: Iterable[NodeName] = (),
        certificates: Iterable[CertificateId] = (),
        trusted_cas: bool = False,
    ) -> None:
        """Mark the transaction as changing content: this and nothing else (`manager.store.journal`)."""
        self.content = True
        self.touched.add(nodes=nodes, certificates=certificates, trusted_cas=trusted_cas)


@asynccontextmanager
async def part_of(outer: Transaction, *, rights: bool) -> AsyncIterator[None]:
    """Make a block part of the open transaction.

    An error in it undoes the whole, even if caught in between.
    """
    outer.rights = outer.rights or rights
    try:
        yield
    except BaseException as error:
        outer.failed = outer.failed or error
        raise
