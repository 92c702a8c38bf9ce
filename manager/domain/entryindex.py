"""Index of entries by a word that several may share, such as their key.

Pure. Invariant: it is built on first use; an index that takes over an earlier one pays only for the changes.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Generic, Protocol, TypeVar

from common.ids import CertificateId
from common.pki.certificate import Certificate


class Indexed(Protocol):
    """The fields of an indexed entry."""

    @property
    def id(self) -> CertificateId: ...

    @property
    def leaf(self) -> Certificate: ...


E = TypeVar("E", bound=Indexed)


class EntryIndex(Generic[E]):
    """Index by `word_of` each entry's leaf."""

    __slots__ = ("_word_of", "made")

    def __init__(self, word_of: Callable[[Certificate], str]) -> None:
        self._word_of = word_of
        self.made: dict[str, list[E]] = {}

    def of(self, word: str, entries: Iterable[E]) -> Sequence[E]:
        """Return the entries with this word, in their order; `entries` are all of them."""
        if not self.made:
            # built separately, because another thread may be building it too
            found: dict[str, list[E]] = {}
            for each in entries:
                found.setdefault(self._word_of(each.leaf), []).append(each)
            self.made.update(found)
        return self.made.get(word, ())

    def take_over(self, earlier: "EntryIndex[E]", former: Sequence[E], present: Sequence[E]) -> None:
        """Adopt an earlier index, if it was ever used, with the `present` entries replacing the `former` ones."""
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
