"""Pinned keys by node, in memory, so that a login looks them up without disk access.

Owns the list of watchers that learn of revoked keys. Invariants: one key names at most one node, and a node
has at most one key. A pinning is current until it is forgotten or replaced, and never again: pinning the same
key again makes another `PinnedKey`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from common.errors import Reason
from common.ids import NodeName


@dataclass(frozen=True, slots=True, eq=False)
class PinnedKey:
    """One pinning of a key to a node, compared by identity: a node added again under its name gets another.

    `line` is an OpenSSH public line without comment (`ssh-ed25519 AAAA...`).
    """

    node: NodeName
    line: str


Revoked = Callable[[PinnedKey, Reason], None]
"""Called with a revoked key: UNAUTHENTICATED if another key replaced it, FORBIDDEN if its node was removed."""


class KeyRegistry:
    """The pinned keys.

    `watchers` learn of each revoked key in order, before a login with its replacement is possible.
    """

    def __init__(self, keys: Mapping[str, NodeName]) -> None:
        self._by_line = {line: PinnedKey(node, line) for line, node in keys.items()}
        self._by_node = {key.node: key for key in self._by_line.values()}
        self.watchers: list[Revoked] = []

    def find(self, public_key_line: str) -> PinnedKey | None:
        """Return the node whose key this is now."""
        return self._by_line.get(public_key_line)

    def line_of(self, node: NodeName) -> str:
        """Return a node's key, "" if it has none."""
        key = self._by_node.get(node)
        return key.line if key is not None else ""

    def is_current(self, key: PinnedKey) -> bool:
        """Whether a pinning is still valid."""
        return self._by_line.get(key.line) is key

    def pin(self, node: NodeName, public_key_line: str) -> PinnedKey:
        """Pin a node's key.

        It replaces the node's former key, and any other node's pinning of the same key.
        """
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
