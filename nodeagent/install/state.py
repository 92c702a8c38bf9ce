"""Shared state of the installer's parts: one tree, one journal, one lock."""

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from common.bundle.manifest import Manifest
from common.codes import Phase
from common.errors import InstallError
from nodeagent.core.services import Consumer, Services
from nodeagent.core.timing import WAIT_MAX_CHARS, Wait, hold_back
from nodeagent.install.copies import check_copies, try_copies
from nodeagent.install.journalfile import JournalFile
from nodeagent.install.localstate import NodeLocalState
from nodeagent.install.probe import Prober
from nodeagent.install.tree import Tree

ProgressCallback = Callable[[Phase, str], None]
"""Called with each phase, and the consumer it concerns ("" for none)."""


def local_minute(now_s: float) -> int:
    """Return the minute of the local day."""
    local = time.localtime(now_s)
    return local.tm_hour * 60 + local.tm_min


def ignore_progress(phase: Phase, detail: str) -> None:
    """Report nothing, for installations without a manager that waits."""
    del phase, detail


@dataclass(slots=True, kw_only=True)
class NodeState:
    """`lock` guards tree and journal, for installations and upkeep. `services` may be replaced.

    `is_services_known` is false if the services file is unreadable and no earlier one is known: no bundle could be
    proven then, so none is accepted. `skew_s` is this node's clock minus the manager's at the last measurement.
    `minute` returns the minute of the local day. `unroomed` is the last bundle if there was no room for it.
    """

    tree: Tree
    file: JournalFile
    local: NodeLocalState
    services: Services
    is_services_known: bool = True
    prober: Prober = field(default_factory=Prober)
    clock: Callable[[], float] = time.time
    minute: Callable[[float], int] = local_minute
    skew_s: float = 0.0
    unroomed: Manifest | None = None
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    def true_s(self) -> float:
        """Return the time by the manager's clock, for judging certificates."""
        return self.clock() - self.skew_s

    async def split(self, consumers: Iterable[Consumer]) -> tuple[tuple[Consumer, ...], dict[str, Wait]]:
        """Return which of these may be reloaded now, and why each of the others waits, from the last probes.

        A service whose copies have no place waits, but does not hold up the others.
        """
        now_s, serving, journal = self.clock(), self.local.serving, self.file.journal
        consumers = tuple(consumers)
        copying = [one for one in consumers if one.copies]
        unplaced = await asyncio.to_thread(find_unplaced, copying, self.tree.directory) if copying else {}
        ready, waits = [], {}
        for consumer in consumers:
            wait = unplaced.get(consumer.name) or hold_back(
                consumer,
                serving,
                now_s=now_s,
                minute=self.minute(now_s),
                reloaded_s=journal.reloaded.get(consumer.name),
            )
            if wait is None:
                ready.append(consumer)
            else:
                waits[consumer.name] = wait
        return tuple(ready), waits


def find_unplaced(consumers: Iterable[Consumer], data: Path) -> dict[str, Wait]:
    """Return which of these have a copy that cannot be written, and why. Runs in a thread."""
    found = {}
    for consumer in consumers:
        try:
            check_copies(consumer.copies, data)
            try_copies(consumer.copies)
        except InstallError as error:
            found[consumer.name] = Wait(reason="service", message=error.message[:WAIT_MAX_CHARS])
    return found
