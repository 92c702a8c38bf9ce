"""Private keys of a batch that could not be read, and the certificates that they may belong to.

Pure. Decides by files and their base names, for a key that cannot be opened tells no more.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

from common.pki.certificate import Certificate
from common.pki.pem import Block


class Unread:
    """Collects where such keys stand."""

    def __init__(self) -> None:
        self._keys: Counter[str] = Counter()
        self._damaged: set[str] = set()

    def add_keys(self, file: str | None, count: int = 1) -> None:
        """Take keys, or PKCS#12 files, of a file that were refused."""
        if count:
            self._keys[_base_name(file)] += count

    def add_damaged(self, files: Iterable[str | None]) -> None:
        """Take files that could not be read so far that it is known whether a key is in them."""
        self._damaged.update(_base_name(file) for file in files)

    def owners(self, keyless: Sequence[tuple[Certificate, Block]]) -> set[Certificate]:
        """Return those of the certificates without a key that may own one: what stands beside it, else all of them."""
        beside: dict[str, set[Certificate]] = {}
        for certificate, block in keyless:
            beside.setdefault(_base_name(block.file), set()).add(certificate)
        found = {each for name in self._damaged for each in beside.get(name, ())}
        for name, count in self._keys.items():
            near = beside.get(name, set())
            found |= near if len(near) >= count else {each for each, _ in keyless}
        return found


def _base_name(file: str | None) -> str:
    return PurePosixPath(file or "").stem.casefold()
