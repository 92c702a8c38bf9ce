"""Journal of this process: what its changes touched of content, so that a copy in memory reads only that again.

Says which rows to read, never what they hold. Invariants: what is not known to be all is None, and everything is read; it is bounded.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from common.ids import CertificateId, NodeName

TOUCHED_MAX: Final = 500
"""Rows of a kind that are told one by one, as many as one statement takes: of a change of more, everything is read again."""

CHANGES_MAX: Final = 1_000
"""Changes that are remembered. A copy in memory is read each second or so while anything changes."""


@dataclass(slots=True)
class Touched:
    """Nodes of which the record or an assignment changed, or that came or went; certificates likewise; whether trusted CAs did.

    `everything` says that it is not told what.
    """

    nodes: set[NodeName] = field(default_factory=set)
    certificates: set[CertificateId] = field(default_factory=set)
    trusted_cas: bool = False
    everything: bool = False

    def add(
        self,
        *,
        nodes: Iterable[NodeName] = (),
        certificates: Iterable[CertificateId] = (),
        trusted_cas: bool = False,
        everything: bool = False,
    ) -> None:
        """Note that this was touched too."""
        if not self.everything:
            self.nodes.update(nodes)
            self.certificates.update(certificates)
        self.trusted_cas = self.trusted_cas or trusted_cas
        if everything or max(len(self.nodes), len(self.certificates)) > TOUCHED_MAX:
            self.everything = True
            self.nodes.clear()
            self.certificates.clear()

    def take(self, other: "Touched") -> None:
        """Note that what another change touched was touched too."""
        self.add(
            nodes=other.nodes,
            certificates=other.certificates,
            trusted_cas=other.trusted_cas,
            everything=other.everything,
        )


class Journal:
    """By the revision that each change of content left. Changes of nodes' records that do not change content are counted instead."""

    def __init__(self) -> None:
        self._contents: dict[int, Touched] = {}
        self._records: dict[NodeName, int] = {}
        self._untold = 0
        self.count = 0
        """How many changes of records there were that left content as it was."""

    def note(self, revision: int | None, touched: Touched) -> None:
        """Note a change that was kept; `revision` is None if it left content as it was."""
        if revision is not None:
            self._contents[revision] = touched
            if len(self._contents) > CHANGES_MAX:
                del self._contents[next(iter(self._contents))]
            return
        if touched.everything:
            self.count += 1
            self._untold = self.count
        for name in touched.nodes:
            self.count += 1
            self._records.pop(name, None)
            self._records[name] = self.count

    def forget(self) -> None:
        """Forget what was kept, since it may be undone after all."""
        self._contents.clear()

    def has_all(self, before: int, now: int) -> bool:
        """Whether this process made all changes of content from one revision to another."""
        return before <= now and all(each in self._contents for each in range(before + 1, now + 1))

    def since(self, before: int, now: int, *, noted: int) -> Touched | None:
        """Return what was touched from one revision to another, and by all changes of records but the first that were `noted`; None if that is not known."""
        if noted < self._untold:
            return None
        found = Touched()
        for revision in range(before + 1, now + 1):
            if (touched := self._contents.get(revision)) is None:
                return None
            found.take(touched)
        for name in reversed(self._records):
            if self._records[name] <= noted:
                break
            found.add(nodes=[name])
        return None if found.everything else found
