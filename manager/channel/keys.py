"""Pinned keys by node, in memory, where a login can look them up without a disk.

Owns who is told when a key opens nothing any more. Invariant: one key names at most one node; a node has at most one key; and what
was pinned is current until it is forgotten or replaced, never again after that: the same key pinned again is another `PinnedKey`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from common.errors import Reason
from common.ids import NodeName


@dataclass(frozen=True, slots=True, eq=False)
class PinnedKey:
    """One pinning of a key to a node, compared by identity: a node that was added again under its name has another one.

    `line` is an OpenSSH public line without comment (`ssh-ed25519 AAAA...`).
    """

    node: NodeName
    line: str


Revoked = Callable[[PinnedKey, Reason], None]
"""Told of a key that opens nothing any more: UNAUTHENTICATED if another one took its place, FORBIDDEN if its node is gone."""


class KeyRegistry:
    """The pinned keys. `watchers` are told of each that is revoked, in order, before anybody can log in with what replaced it."""

    def __init__(self, keys: Mapping[str, NodeName]) -> None:
        self._by_line = {line: PinnedKey(node, line) for line, node in keys.items()}
        self._by_node = {key.node: key for key in self._by_line.values()}
        self.watchers: list[Revoked] = []

    def find(self, public_key_line: str) -> PinnedKey | None:
        """Return whose key this is now."""
        return self._by_line.get(public_key_line)

    def line_of(self, node: NodeName) -> str:
        """Return a node's key, "" if it has none."""
        key = self._by_node.get(node)
        return key.line if key is not None else ""

    def is_current(self, key: PinnedKey) -> bool:
        """Whether what was pinned once still is."""
        return self._by_line.get(key.line) is key

    def pin(self, node: NodeName, public_key_line: str) -> PinnedKey:
        """Pin a node's key in place of the one it had, and in place of whoever had this one."""
        for former in (self._by_node.get(node), self._by_line.get(public_key_line)):
            if former is not None:
                self._revoke(former, Reason.UNAUTHENTICATED)
        key = PinnedKey(node, public_key_line)
        self._by_line[public_key_line] = self._by_node[node] = key
        return key

    def forget(self, node: NodeName) -> None:
        """Drop a node's key."""
        if (key := self._by_node.get(node)) is not None:
            self._revoke(key, Reason.FORBIDDEN)

    def _revoke(self, key: PinnedKey, reason: Reason) -> None:
        if self._by_node.get(key.node) is not key:
            return
        del self._by_node[key.node], self._by_line[key.line]
        for tell in self.watchers:
            tell(key, reason)
