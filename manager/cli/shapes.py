"""The API's answers, as far as the command reads them.

Unknown fields are ignored and optional ones may be missing, so that a command works with a manager of another version.
"""

from typing import TypeVar

import msgspec

from common.errors import CertcastError
from common.schema import finding_text
from manager.cli.failures import Consequence

T = TypeVar("T")


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """A generation of a node."""

    epoch: int = 0
    generation: int = 0
    digest: str = ""


class SlotFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A slot's leaf fingerprints."""

    desired: str | None = None
    offered: str | None = None
    applied: str | None = None
    serving: str | None = None


class Serving(msgspec.Struct, frozen=True, kw_only=True):
    """What an endpoint was seen to serve."""

    consumer: str = ""
    endpoint: str = ""
    slot: str = ""
    leaf: str = ""
    not_after_s: float = 0
    at_s: float = 0
    reason: str = ""
    message: str = ""
    tls: str = ""
    sent: int = 0
    strict_client: str | None = None
    stapled: bool | None = None


class ConfigurationFault(msgspec.Struct, frozen=True, kw_only=True):
    """A mistake in the node's own configuration."""

    code: str = ""
    message: str = ""


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """A reload that is due and waits on purpose."""

    consumer: str = ""
    since_s: float = 0
    reason: str = ""
    message: str = ""


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """The last generation that failed on a node."""

    generation: int = 0
    phase: str = ""
    reason: str = ""
    message: str = ""
    attempts: int = 0
    retry_after_s: float = 0
    at_s: float = 0


class PartRefused(msgspec.Struct, frozen=True, kw_only=True):
    """A part of what is desired that the node does not take, and why."""

    part: str = ""
    reason: str = ""
    message: str = ""


class Push(msgspec.Struct, frozen=True, kw_only=True):
    """The latest push to a node; `concluded_s` is None while it is under way."""

    push_id: str = ""
    generation: int = 0
    changed_s: float = 0
    offered_s: float = 0
    concluded_s: float | None = None
    phase: str | None = None
    result: str = ""
    reason: str = ""
    message: str = ""


class KeyChange(msgspec.Struct, frozen=True, kw_only=True):
    """How a node came by its key: joined, rejoined or rotated, when, and from where; `former` is the key that it replaced."""

    how: str
    at_s: float
    address: str
    fingerprint: str
    former: str = ""
    former_address: str = ""


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """A node as the manager knows it. `names` and `addresses` stand only in the answer about one node."""

    name: str
    state: str
    kind: str = "node"
    joined: bool = False
    connected_s: float | None = None
    heard_s: float | None = None
    address: str = ""
    agent_version: str = ""
    desired: Version | None = None
    offered: Version | None = None
    applied: Version | None = None
    slots: dict[str, SlotFacts] = {}
    serving: list[Serving] = []
    last_failed: Failure | None = None
    drifted: bool = False
    drifts: int = 0
    clock_skew_s: float = 0
    waiting: list[Waiting] = []
    configuration: list[ConfigurationFault] = []
    refused: list[PartRefused] = []
    diagnostics: str = ""
    key_change: KeyChange | None = None
    push: Push | None = None
    republished: bool = False
    names: list[str] = []
    addresses: list[str] = []


class Fleet(msgspec.Struct, frozen=True, kw_only=True):
    """All nodes, and how many are in which state."""

    nodes: list[Node]
    counts: dict[str, int] = {}


class ListedNode(msgspec.Struct, frozen=True, kw_only=True):
    """A node as it was added."""

    name: str
    kind: str = "node"
    names: list[str] = []
    addresses: list[str] = []
    joined: bool = False
    state: str = ""
    created_s: float | None = None
    enrolled_s: float | None = None


class ListedNodes(msgspec.Struct, frozen=True, kw_only=True):
    """All nodes as they were added."""

    nodes: list[ListedNode]


class ListedJoinToken(msgspec.Struct, frozen=True, kw_only=True):
    """A join token that was not used yet, without its secret."""

    id: int
    node: str
    created_s: float | None = None
    expires_s: float | None = None
    created_by: str = ""


class JoinTokens(msgspec.Struct, frozen=True, kw_only=True):
    """The join tokens that can still be used."""

    join_tokens: list[ListedJoinToken]


class JoinToken(msgspec.Struct, frozen=True, kw_only=True):
    """A join token; shown once."""

    join_token: str
    expires_s: float


class Named(msgspec.Struct, frozen=True, kw_only=True):
    """A certificate by its name."""

    subject: str = ""
    fingerprint: str = ""
    not_after_s: float = 0


class FileChange(msgspec.Struct, frozen=True, kw_only=True):
    """A file that differs."""

    path: str
    change: str = ""
    before_bytes: int | None = None
    after_bytes: int | None = None


class SlotChange(msgspec.Struct, frozen=True, kw_only=True):
    """A slot whose files differ, with what it served and what it is to serve, leaf first."""

    slot: str
    before: list[Named] = []
    after: list[Named] = []


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """What differs between two generations."""

    files: list[FileChange] = []
    slots: list[SlotChange] = []
    anchors_added: list[Named] = []
    anchors_removed: list[Named] = []


class Compared(msgspec.Struct, frozen=True, kw_only=True):
    """Two generations of a node, what differs, and what a change from one to the other means; `confirmation` agrees to that."""

    before: int | None = None
    after: int = 0
    difference: Difference = Difference()
    consequences: list[Consequence] = []
    confirmation: str = ""


class Generation(msgspec.Struct, frozen=True, kw_only=True):
    """A generation of a node."""

    epoch: int = 0
    generation: int = 0
    created_s: float = 0
    cause: str = ""
    slots: dict[str, str] = {}
    anchors: int = 0
    stands_in: bool = False


class Generations(msgspec.Struct, frozen=True, kw_only=True):
    """A node's generations, the newest first."""

    generations: list[Generation]


class Planned(msgspec.Struct, frozen=True, kw_only=True):
    """What a push does to a node, and why; `retry_in_s` is how much longer it rests after what is desired failed."""

    node: str
    action: str
    why: str = ""
    generation: int | None = None
    retry_in_s: float | None = None
    difference: Difference | None = None


class Republished(Planned, frozen=True, kw_only=True):
    """What republishing did, and what that means."""

    consequences: list[Consequence] = []


class Pushes(msgspec.Struct, frozen=True, kw_only=True):
    """What a push does."""

    pushes: list[Planned]


class User(msgspec.Struct, frozen=True, kw_only=True):
    """A user."""

    name: str
    role: str
    created_s: float | None = None


class Users(msgspec.Struct, frozen=True, kw_only=True):
    """All users."""

    users: list[User]


class ListedToken(msgspec.Struct, frozen=True, kw_only=True):
    """An API token, without the token."""

    id: int
    user: str = ""
    label: str = ""
    scope: str = ""
    last_used_s: float | None = None
    last_source: str | None = None
    created_s: float | None = None
    expires_s: float | None = None


class Tokens(msgspec.Struct, frozen=True, kw_only=True):
    """API tokens."""

    tokens: list[ListedToken]


class ApiToken(msgspec.Struct, frozen=True, kw_only=True):
    """An API token; shown once."""

    token: str
    expires_s: float


class OAuthClient(msgspec.Struct, frozen=True, kw_only=True):
    """A program that signs in with a key of its own."""

    client_id: str
    name: str = ""
    role: str = ""
    created_s: float | None = None


class OAuthClients(msgspec.Struct, frozen=True, kw_only=True):
    """All such programs."""

    clients: list[OAuthClient]


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True):
    """Something that was done."""

    at_s: float = 0
    actor: str = ""
    action: str = ""
    subject: str = ""
    detail: object = None


class Audit(msgspec.Struct, frozen=True, kw_only=True):
    """What was done, as the manager orders it; `next_before` asks for what came before."""

    entries: list[AuditEntry]
    next_before: int | None = None


class Verification(msgspec.Struct, frozen=True, kw_only=True):
    """What a walk along the audit log's chain found."""

    broken_at: int | None
    fault: str = ""
    count: int = 0
    head: str = ""
    noted: bool = True
    kept: str = ""
    signed_head: str | None = None


class AuditHead(msgspec.Struct, frozen=True, kw_only=True):
    """The signed end of the audit log."""

    head: str


def read(answer: bytes, kind: type[T]) -> T:
    """Read an answer. Raises CertcastError if it is not what the API says (another service, another version)."""
    try:
        return msgspec.json.decode(answer, type=kind)
    except msgspec.MsgspecError as error:
        raise CertcastError(
            f"the manager's answer was not understood ({finding_text(error)}); are it and this command of one version?"
        ) from error
