"""Journal of what this process's changes touched, so that a copy in memory reads only that again.

It names rows, never their content. Invariants: the journal is bounded; if it may be incomplete, the answer is
None, and everything is read.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from common.ids import CertificateId, NodeName

TOUCHED_MAX: Final = 500
"""How many rows of a kind are listed, as many as fit one statement; after a larger change everything is
read."""

CHANGES_MAX: Final = 1_000
"""How many changes are remembered. A copy in memory is read about every second while anything changes."""


@dataclass(slots=True)
class Touched:
    """Nodes that were added, removed, or changed in their record or an assignment; certificates; trusted CAs.

    `everything` says that the list is not complete.
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
        """Add what was touched."""
        if not self.everything:
            self.nodes.update(nodes)
            self.certificates.update(certificates)
        self.trusted_cas = self.trusted_cas or trusted_cas
        if everything or max(len(self.nodes), len(self.certificates)) > TOUCHED_MAX:
            self.everything = True
            self.nodes.clear()
            self.certificates.clear()

    def take(self, other: "Touched") -> None:
        """Add what another change touched."""
        self.add(
            nodes=other.nodes,
            certificates=other.certificates,
            trusted_cas=other.trusted_cas,
            everything=other.everything,
        )


class Journal:
    """Changes of content, by the revision that each one left.

    Changes of nodes' records alone are counted instead.
    """

    def __init__(self) -> None:
        self._contents: dict[int, Touched] = {}
        self._records: dict[NodeName, int] = {}
        self._untold = 0
        self.count = 0
        """How many changes touched records but not content."""

    def note(self, revision: int | None, touched: Touched) -> None:
        """Note a committed change; `revision` is None if it did not change content."""
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
        """Forget all changes, since a commit may be undone after all."""
        self._contents.clear()

    def has_all(self, before: int, now: int) -> bool:
        """Whether this process made all changes of content between two revisions."""
        return before <= now and all(each in self._contents for each in range(before + 1, now + 1))

    def since(self, before: int, now: int, *, noted: int) -> Touched | None:
        """Return what was touched between two revisions, and by record changes after the first `noted`.

        None if unknown.
        """
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
