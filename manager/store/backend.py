"""Differences between databases, behind one protocol; `sqlite.py` and `postgresql.py` have them."""

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
    """What lasts as long as a connection to the server does: that others see who serves a store, or that changes are heard."""

    async def until_lost(self) -> None:
        """Return when the connection was lost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NoticeHandlers:
    """What is called with what is heard: the sender of each change that is kept, and the text of each message of tallies."""

    change: Callable[[str], None]
    tallies: Callable[[str], None]


class Engine(Protocol):
    """What differs between databases."""

    @property
    def reader(self) -> Mapping[str, Any]:
        """Execution options of a transaction that only reads: all that it reads is of one moment."""

    @property
    def writer(self) -> Mapping[str, Any]:
        """Execution options of a transaction that writes."""

    @property
    def reader_wait_s(self) -> float | None:
        """How long a reader may wait until it has a connection; None where that needs no answer of somebody else."""

    @property
    def is_shared(self) -> bool:
        """Whether several managers can serve a store at once, each of which must hear what the others change."""

    def connect(self, *, patient: bool) -> AsyncEngine:
        """Make the pool of connections. A `patient` one lets a statement take as long as a migration or a copy may need."""

    async def make(self) -> None:
        """Make what is needed before anybody can connect to a new store. Raises ConflictError, StorageError."""

    async def unmake(self) -> None:
        """Undo `make`: nothing came into it."""

    async def find(self) -> None:
        """Check what can be checked before connecting to a store. Raises NotFoundError."""

    async def check(self, connection: AsyncConnection, *, is_new: bool) -> None:
        """Check, in the transaction that makes or migrates the tables, that they may be made or are there.

        Raises ConflictError, NotFoundError, InvalidInputError.
        """

    async def check_room(self) -> None:
        """Check that there is room for the largest change, where that can be asked. Raises StorageError."""

    async def take_turn(self, connection: AsyncConnection) -> None:
        """Wait until no other process writes; what is read in this transaction afterwards holds until its end."""

    def timeline(self, connection: AsyncConnection) -> str:
        """Return the history that this connection's server goes on with: another one once it lacks what was kept last; "" if it never does."""

    async def now_s(self, connection: AsyncConnection) -> float:
        """Return the time by the one clock that all managers on this store share, in unix seconds."""

    async def tell(self, connection: AsyncConnection, sender: str) -> None:
        """Let those who listen hear, once this transaction is kept, that `sender` may have changed something."""

    async def tell_tallies(self, connection: AsyncConnection, text: str) -> None:
        """Let those who listen hear a message of this kind once this transaction is kept."""

    def listen(self, handlers: NoticeHandlers) -> AbstractAsyncContextManager[Lasting]:
        """Hear what is told from now on. Raises StorageError."""

    def insert(self, table: Table) -> sqlite.Insert | postgresql.Insert:
        """Return an INSERT that knows ON CONFLICT."""

    def among(self, column: ColumnElement[int], numbers: Collection[int]) -> ColumnElement[bool]:
        """Return the condition that a column is one of these numbers: one value of one statement, however many there are."""

    async def ids_given(self, connection: AsyncConnection) -> Mapping[str, int]:
        """Return the highest id that each table has ever given."""

    async def set_ids_given(self, connection: AsyncConnection, given: Mapping[str, int]) -> None:
        """Let each table go on after the highest id that it has ever given elsewhere."""

    def claim(self, node: NodeName | None) -> AbstractAsyncContextManager[Lasting]:
        """Say for as long as the block lasts that the manager with this node serves the store; without one, that it is copied to another place.

        Raises ConflictError while it is copied, is served by whoever this cannot be beside, or, for a copy, is served at all; StorageError.
        """

    def untouched(self) -> AbstractAsyncContextManager[None]:
        """Keep every byte of what is there for as long as the block lasts, whoever else opens it and writes nothing."""

    async def forbid_writes(self, connection: AsyncConnection) -> None:
        """Let nothing be written in this transaction any more."""

    def explain(self, error: SQLAlchemyError | OSError, *, committing: bool) -> StorageError | None:
        """Say what an error means that only this engine has; `committing` if it came while a transaction was being kept."""
