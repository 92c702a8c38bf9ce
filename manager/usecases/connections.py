"""Client connections, and values remembered for as long as each lasts.

Invariant: the values are dropped with their connection, so memory is bounded by the current connections, not
by all connections ever made.
"""

from collections import OrderedDict
from collections.abc import Hashable
from typing import Final, Generic, TypeVar
from weakref import WeakKeyDictionary

REMEMBERED_MAX: Final = 16
"""Values remembered for one connection.

A client is one user; only an undeclared proxy has several users on a connection.
"""

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class ClientConnection:
    """A client's own connection. Referenced only by the server that handles it."""

    __slots__ = ("__weakref__",)


class OfConnections(Generic[K, V]):
    """Values by connection and key; the oldest key of a connection is dropped first."""

    def __init__(self) -> None:
        self._kept: WeakKeyDictionary[ClientConnection, OrderedDict[K, V]] = WeakKeyDictionary()

    def __len__(self) -> int:
        return sum(map(len, self._kept.values()))

    def get(self, connection: ClientConnection, key: K) -> V | None:
        """Return the latest value; None if there is none."""
        kept = self._kept.get(connection)
        return kept.get(key) if kept is not None else None

    def note(self, connection: ClientConnection, key: K, value: V) -> None:
        """Remember a value for as long as the connection lasts."""
        kept = self._kept.setdefault(connection, OrderedDict())
        kept[key] = value
        kept.move_to_end(key)
        if len(kept) > REMEMBERED_MAX:
            kept.popitem(last=False)

    def forget(self, connection: ClientConnection, key: K) -> None:
        """Forget the value of this key."""
        if (kept := self._kept.get(connection)) is not None:
            kept.pop(key, None)

    def forget_all(self) -> None:
        self._kept.clear()
