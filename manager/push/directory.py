"""Which key belongs to which node, in memory, where a login can look it up without a disk.

Invariant: one key names at most one node; a node has at most one key.
"""

from collections.abc import Mapping

from common.ids import NodeName


class Directory:
    """The pinned keys. Keys are OpenSSH public lines without comment (`ssh-ed25519 AAAA...`)."""

    def __init__(self, keys: Mapping[str, NodeName]) -> None:
        self._nodes = dict(keys)

    def node_for(self, public_key_line: str) -> NodeName | None:
        """Return the node that this key is pinned to."""
        return self._nodes.get(public_key_line)

    def pin(self, node: NodeName, public_key_line: str) -> None:
        """Pin a node's key in place of the one it had."""
        self.forget(node)
        self._nodes[public_key_line] = node

    def forget(self, node: NodeName) -> None:
        """Drop a node's key."""
        for line in [line for line, owner in self._nodes.items() if owner == node]:
            del self._nodes[line]
