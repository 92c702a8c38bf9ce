"""Contact: how nodes reach this manager, as announced to them and as each reports it. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import zip_longest


@dataclass(frozen=True, slots=True, kw_only=True)
class Contact:
    """The manager's addresses as HOST:PORT, in the settings' order, and its host keys, the one in use first."""

    addresses: tuple[str, ...] = ()
    host_keys: tuple[str, ...] = ()


def merge_addresses(lists: Iterable[Sequence[str]], *, most: int) -> tuple[str, ...]:
    """Return the addresses of several managers as one list: the first of each, then the second of each, and so on.

    A node that tries them in turn moves on from a dead manager at once, and each manager keeps some of
    `most`.
    """
    turns = zip_longest(*lists)
    return tuple(dict.fromkeys(each for turn in turns for each in turn if each is not None))[:most]
