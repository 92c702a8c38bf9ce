"""Index of entries by a word of theirs, such as the key that several may share.

Pure. Invariant: it is made when it is first asked for, and from then on whoever follows from it pays for what changed, never for all.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Generic, Protocol, TypeVar

from common.ids import CertificateId
from common.pki.certificate import Certificate


class Indexed(Protocol):
    """What an entry is found by."""

    @property
    def id(self) -> CertificateId: ...

    @property
    def leaf(self) -> Certificate: ...


E = TypeVar("E", bound=Indexed)


class EntryIndex(Generic[E]):
    """`word_of` a leaf is what its entry is found by."""

    __slots__ = ("_word_of", "made")

    def __init__(self, word_of: Callable[[Certificate], str]) -> None:
        self._word_of = word_of
        self.made: dict[str, list[E]] = {}

    def of(self, word: str, entries: Iterable[E]) -> Sequence[E]:
        """Return those of all these entries that have this word, in their order."""
        if not self.made:
            # made aside, since a thread may be at it too
            found: dict[str, list[E]] = {}
            for each in entries:
                found.setdefault(self._word_of(each.leaf), []).append(each)
            self.made.update(found)
        return self.made.get(word, ())

    def take_over(self, earlier: "EntryIndex[E]", former: Sequence[E], present: Sequence[E]) -> None:
        """Take over what an earlier index has found, with the entries that are present in place of the former ones; if it was ever asked."""
        if not earlier.made:
            return
        found = dict(earlier.made)
        gone = {each.id for each in (*former, *present)}
        for word in {self._word_of(each.leaf) for each in (*former, *present)}:
            stay = [each for each in found.pop(word, ()) if each.id not in gone]
            stay += [each for each in present if self._word_of(each.leaf) == word]
            if stay:
                found[word] = sorted(stay, key=lambda each: each.id)
        self.made.update(found)
