"""What the parts of the installer share: one tree, one journal, one lock."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from common.wire.messages import Phase
from nodeagent.core.services import Services
from nodeagent.install.holdings import NodeHoldings
from nodeagent.install.journalfile import JournalFile
from nodeagent.install.probe import Prober
from nodeagent.install.tree import Tree

Say = Callable[[Phase, str], None]
"""Told of each phase, and of the consumer it concerns ("" for none)."""


def say_nothing(phase: Phase, detail: str) -> None:
    """Tell nobody."""
    del phase, detail


@dataclass(slots=True, kw_only=True)
class NodeState:
    """`lock` is held by whoever changes tree or journal: an installation, or upkeep. `services` may be replaced."""

    tree: Tree
    file: JournalFile
    holdings: NodeHoldings
    services: Services
    prober: Prober = field(default_factory=Prober)
    clock: Callable[[], float] = time.time
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
