"""Logins by key: who has logged in with the key of a node, so that few have at once and none outlasts its key."""

from typing import Protocol

from manager.channel.gate import Gate
from manager.channel.keys import PinnedKey


class LoggedIn(Protocol):
    """One connection that has logged in."""

    address: str

    def end(self) -> None:
        """Cut the connection."""


class Logins:
    """`gate` counts those that are cut because there are too many."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._by_key: dict[PinnedKey, list[LoggedIn]] = {}

    def add(self, login: LoggedIn, key: PinnedKey) -> None:
        """Keep who has logged in with a node's key; of too many the oldest goes."""
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
        """Cut whoever logged in with a key that was revoked, whatever has become of the login since."""
        for login in list(self._by_key.get(key, ())):
            login.end()
