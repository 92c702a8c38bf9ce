"""Another manager that joins those of a store: its request, and the answer. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from common.ids import NodeName


@dataclass(frozen=True, slots=True, kw_only=True)
class Newcomer:
    """A manager that wants to join: its node's names and addresses, its release, and the ids of keys that it has."""

    names: Sequence[str]
    addresses: Sequence[str]
    version: str
    holds: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """The answer: its node's name, the key-encryption key unless it has that, and the database if it may know it."""

    node: NodeName
    kek: bytes = field(repr=False)
    database: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reuse:
    """Reuse of the join token of a manager (`node`) by another machine: first time, source address, and key."""

    node: NodeName
    at_s: float
    address: str
    fingerprint: str
