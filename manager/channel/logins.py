"""Logins by node key: a key has few at once, and none outlasts it."""

from typing import Protocol

from manager.channel.gate import Gate
from manager.channel.keys import PinnedKey


class LoggedIn(Protocol):
    """One logged-in connection."""

    address: str

    def end(self) -> None:
        """Cut the connection."""


class Logins:
    """All logins. `gate` counts those cut because there are too many."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._by_key: dict[PinnedKey, list[LoggedIn]] = {}

    def add(self, login: LoggedIn, key: PinnedKey) -> None:
        """Keep a login with a node's key; beyond the limit, the oldest goes."""
        logins = self._by_key.setdefault(key, [])
        logins.append(login)
        if len(logins) > self._gate.limits.connections_per_key:
            oldest = logins.pop(0)
            self._gate.refuse(oldest.address, "too many connections of one key")
            oldest.end()

    def remove(self, login: LoggedIn, key: PinnedKey) -> None:
        """Forget a connection that is over."""
        logins = self._by_key.get(key, [])
        if login in logins:
            logins.remove(login)
        if not logins:
            self._by_key.pop(key, None)

    def end(self, key: PinnedKey) -> None:
        """Cut all connections logged in with a revoked key, whatever their state."""
        for login in list(self._by_key.get(key, ())):
            login.end()
