"""Nodes: adding, joining and showing them, and what their slots hold. Pure."""

import msgspec

from common.api.facts import NodeView
from common.api.values import ConfirmationText, Id, Moment, Names, NameText, RequestBody, StateCode


class NewNode(RequestBody, frozen=True, kw_only=True):
    """A node to add; names and addresses go into its temporary certificate."""

    name: NameText
    names: Names = msgspec.field(default_factory=list)
    addresses: Names = msgspec.field(default_factory=list)


class SlotContent(RequestBody, frozen=True, kw_only=True):
    """What a slot shall hold; `confirm` as for an upload."""

    certificate: Id
    confirm: ConfirmationText | None = None


class NodeAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A node as it was added."""

    name: str
    kind: str
    names: tuple[str, ...]
    addresses: tuple[str, ...]
    joined: bool
    created_at_s: Moment
    enrolled_at_s: Moment | None


class ListedNode(NodeAnswer, frozen=True, kw_only=True):
    """A node as it was added, and its state now."""

    state: StateCode


class NodesAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """All nodes as they were added."""

    nodes: list[ListedNode]


class JoinTokenAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A join token, shown once."""

    join_token: str
    expires_at_s: Moment


class ListedJoinToken(msgspec.Struct, frozen=True, kw_only=True):
    """A join token that was not used yet, without its secret."""

    id: int
    node: str
    created_at_s: Moment
    expires_at_s: Moment
    created_by: str


class JoinTokensAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Join tokens of all nodes that can still be used, the latest first."""

    join_tokens: list[ListedJoinToken]


class AddedNode(JoinTokenAnswer, frozen=True, kw_only=True):
    """A node that was added, with its join token."""

    node: NodeAnswer


class ShownNode(NodeView, frozen=True, kw_only=True):
    """One node with all its facts, its names and addresses, and what was seen on it when its last installation failed."""

    names: tuple[str, ...]
    addresses: tuple[str, ...]
    diagnostics: str
