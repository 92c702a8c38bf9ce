"""Generations of a node: what was published, and what differs between two. Pure."""

from typing import Annotated

import msgspec

from common.api.errors import ConsequenceAnswer
from common.api.values import Calendar, Moment, SlotCode, Unreadable, one_of


class Named(msgspec.Struct, frozen=True, kw_only=True):
    """A certificate by its name. `not_after_s` is unix seconds."""

    subject: str
    issuer: str
    fingerprint: str
    not_after_s: Calendar
    unreadable: Unreadable = ()


class FileChange(msgspec.Struct, frozen=True, kw_only=True):
    """One file that differs; a size is None where there is no such file."""

    path: str
    change: Annotated[str, one_of(("added", "removed", "changed"))]
    before_bytes: int | None
    after_bytes: int | None


class SlotChange(msgspec.Struct, frozen=True, kw_only=True):
    """A slot of which some file differs: its certificate and the chain that is served with it, leaf first; none if it is empty."""

    slot: SlotCode
    before: tuple[Named, ...]
    after: tuple[Named, ...]


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """What differs. Nothing does if `files` is empty."""

    files: tuple[FileChange, ...]
    slots: tuple[SlotChange, ...]
    anchors_added: tuple[Named, ...]
    anchors_removed: tuple[Named, ...]


class GenerationAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A generation: `slots` are the leaves' fingerprints; `stands_in` says that older content was republished with it."""

    epoch: int
    generation: int
    digest: str
    created_at_s: Moment
    cause: str
    slots: dict[str, str]
    anchors: int
    stands_in: bool


class GenerationsAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A node's generations, the newest first."""

    generations: list[GenerationAnswer]


class DifferenceAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What differs between two generations; `before` is null where there was none.

    With `from`, `consequences` is what it would mean for the node's clients and peers to go from that one to this one now, and
    `confirmation` the token that confirms republishing it if `from` is the newest.
    """

    node: str
    before: int | None
    after: int
    difference: Difference
    consequences: list[ConsequenceAnswer] = []
    confirmation: str = ""


class RepublishedAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What was done, as for a push, and what it means for the node's clients and peers."""

    node: str
    action: str
    why: str
    generation: int | None
    consequences: list[ConsequenceAnswer] = []
