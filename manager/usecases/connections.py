"""Clients' connections, and what is remembered of each while it lasts.

Leaves to others what that is. Invariant: it is gone when its connection is, so that what is remembered is bounded by who is connected
now, and not by who ever was.
"""

from collections import OrderedDict
from collections.abc import Hashable
from typing import Final, Generic, TypeVar
from weakref import WeakKeyDictionary

REMEMBERED_MAX: Final = 16
"""What is remembered of one connection. A client is one user; only a proxy that nobody declared as one has several users on a connection."""

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class ClientConnection:
    """A client's own connection. Held by whoever serves it, and by nobody for longer."""

    __slots__ = ("__weakref__",)


class OfConnections(Generic[K, V]):
    """Of one connection's keys the one that was noted longest ago goes first."""

    def __init__(self) -> None:
        self._kept: WeakKeyDictionary[ClientConnection, OrderedDict[K, V]] = WeakKeyDictionary()

    def __len__(self) -> int:
        return sum(map(len, self._kept.values()))

    def get(self, connection: ClientConnection, key: K) -> V | None:
        """Return what was noted last; None if nothing was."""
        kept = self._kept.get(connection)
        return kept.get(key) if kept is not None else None

    def note(self, connection: ClientConnection, key: K, value: V) -> None:
        """Remember this for as long as the connection lasts."""
        kept = self._kept.setdefault(connection, OrderedDict())
        kept[key] = value
        kept.move_to_end(key)
        if len(kept) > REMEMBERED_MAX:
            kept.popitem(last=False)

    def forget(self, connection: ClientConnection, key: K) -> None:
        """Remember nothing of this key."""
        if (kept := self._kept.get(connection)) is not None:
            kept.pop(key, None)

    def forget_all(self) -> None:
        self._kept.clear()
