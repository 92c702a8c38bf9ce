"""Contact: how nodes reach this manager, as it is announced to them and as each says that it knows it. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import zip_longest


@dataclass(frozen=True, slots=True, kw_only=True)
class Contact:
    """The manager's addresses, as HOST:PORT, in the order of the settings, and its host keys, the one that is used first."""

    addresses: tuple[str, ...] = ()
    host_keys: tuple[str, ...] = ()


def merge_addresses(lists: Iterable[Sequence[str]], *, most: int) -> tuple[str, ...]:
    """Return the addresses of several managers as one list: the first of each, then the second of each, and so on.

    So whoever tries one after the other leaves a manager that does not answer at once, and if there are too many, each keeps some.
    """
    turns = zip_longest(*lists)
    return tuple(dict.fromkeys(each for turn in turns for each in turn if each is not None))[:most]
