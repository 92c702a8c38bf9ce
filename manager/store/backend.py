"""Engine protocol, behind which databases differ; `sqlite.py` and `postgresql.py` implement it."""

from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy import ColumnElement, Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from common.errors import StorageError
from common.ids import NodeName


class Lasting(Protocol):
    """A claim or a subscription that lasts as long as its connection to the server."""

    async def until_lost(self) -> None:
        """Return once the connection is lost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NoticeHandlers:
    """Callbacks for notifications.

    The sender of each committed change, and the text of each message of tallies.
    """

    change: Callable[[str], None]
    tallies: Callable[[str], None]


class Engine(Protocol):
    """Everything that differs between databases."""

    @property
    def reader(self) -> Mapping[str, Any]:
        """Execution options of a read-only transaction, which sees a single snapshot."""

    @property
    def writer(self) -> Mapping[str, Any]:
        """Execution options of a transaction that writes."""

    @property
    def reader_wait_s(self) -> float | None:
        """How long a reader may wait for a connection; None if getting one needs no answer from a server."""

    @property
    def is_shared(self) -> bool:
        """Whether several managers can serve a store at once; each must then hear of the others' changes."""

    def connect(self, *, patient: bool) -> AsyncEngine:
        """Make the connection pool.

        A `patient` pool allows statements the time that migrations and copies need.
        """

    async def make(self) -> None:
        """Create what must exist before a new store can be connected to.

        Raises ConflictError, StorageError.
        """

    async def unmake(self) -> None:
        """Undo `make` after nothing was stored."""

    async def find(self) -> None:
        """Check what can be checked before connecting. Raises NotFoundError."""

    async def check(self, connection: AsyncConnection, *, is_new: bool) -> None:
        """Check that the tables exist, or may be created, in the transaction that makes or migrates them.

        Raises ConflictError, NotFoundError, InvalidInputError.
        """

    async def check_room(self) -> None:
        """Check that there is room for the largest change, if the engine can tell. Raises StorageError."""

    async def take_turn(self, connection: AsyncConnection) -> None:
        """Wait until no other process writes; what this transaction then reads stays true until it ends."""

    def timeline(self, connection: AsyncConnection) -> str:
        """Return the timeline of this connection's server, "" if it never changes.

        It changes when a server takes over that lacks the last commits.
        """

    async def now_s(self, connection: AsyncConnection) -> float:
        """Return the time, in unix seconds, by the one clock that all managers of this store share."""

    async def tell(self, connection: AsyncConnection, sender: str) -> None:
        """Notify listeners on commit that `sender` may have changed something."""

    async def tell_tallies(self, connection: AsyncConnection, text: str) -> None:
        """Notify listeners of a message of tallies on commit."""

    def listen(self, handlers: NoticeHandlers) -> AbstractAsyncContextManager[Lasting]:
        """Receive notifications from now on. Raises StorageError."""

    def insert(self, table: Table) -> sqlite.Insert | postgresql.Insert:
        """Return an INSERT that supports ON CONFLICT."""

    def among(self, column: ColumnElement[int], numbers: Collection[int]) -> ColumnElement[bool]:
        """Return the condition that a column is one of these numbers. All of them are one bound value."""

    async def ids_given(self, connection: AsyncConnection) -> Mapping[str, int]:
        """Return the highest id that each table has ever assigned."""

    async def set_ids_given(self, connection: AsyncConnection, given: Mapping[str, int]) -> None:
        """Make each table continue after the highest id that it assigned elsewhere."""

    def claim(self, node: NodeName | None) -> AbstractAsyncContextManager[Lasting]:
        """Claim the store for as long as the block lasts.

        To serve it as this node, or without one to copy it.

        Raises StorageError; ConflictError while the store is copied, is served by a manager that this one
        cannot serve beside or, when claimed for a copy, is served at all.
        """

    def untouched(self) -> AbstractAsyncContextManager[None]:
        """Keep the file's bytes during the block, even if another process opens it and writes nothing."""

    async def forbid_writes(self, connection: AsyncConnection) -> None:
        """Forbid further writes in this transaction."""

    def explain(self, error: SQLAlchemyError | OSError, *, committing: bool) -> StorageError | None:
        """Translate an error that is specific to this engine; `committing` if a commit raised it."""
