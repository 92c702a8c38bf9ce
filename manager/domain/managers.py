"""Another manager that joins those of a store: what it brings, and what it gets. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from common.ids import NodeName


@dataclass(frozen=True, slots=True, kw_only=True)
class Newcomer:
    """The manager that wants to join: its node's names and addresses, its release, and the ids of the keys that it has already."""

    names: Sequence[str]
    addresses: Sequence[str]
    version: str
    holds: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """What it gets: which node it is, the key-encryption key unless it has that, and where the database is if it may be told."""

    node: NodeName
    kek: bytes = field(repr=False)
    database: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reuse:
    """That the token by which a manager (`node`) had joined was shown by another machine: when first, from where, and with which key."""

    node: NodeName
    at_s: float
    address: str
    fingerprint: str
