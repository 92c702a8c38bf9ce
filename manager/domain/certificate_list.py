"""Certificate list: filters and orders.

Pure. Invariant: the order is total (the id decides between equals), so pages neither repeat nor skip an
entry.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from common.codes import CertificateOrder, StatusCode
from common.errors import InvalidInputError, NotFoundError
from common.limits import PAGE_MAX
from common.pki.expiry import as_number
from common.pki.finding import Severity
from common.pki.path import Purpose, allows, is_within_validity
from manager.domain.comparison import find_uncovered
from manager.domain.inventory import Entry, Inventory
from manager.domain.listing import ListPage, Sort, mentions, page_from, sort_rows
from manager.domain.model import NodeRecord
from manager.pki.judge.headline import headline

PAGE: Final = 100
_SEVERITIES: Final = tuple(Severity)


_KEYS: Final[Mapping[CertificateOrder, Callable[[Entry], Any]]] = MappingProxyType(
    {
        CertificateOrder.ID: lambda entry: entry.id,
        CertificateOrder.SUBJECT: lambda entry: (entry.leaf.display_name.lower(), entry.id),
        CertificateOrder.ISSUER: lambda entry: (entry.leaf.issuer_name.lower(), entry.id),
        CertificateOrder.EXPIRY: lambda entry: (*_end(entry), entry.id),
        CertificateOrder.NODES: lambda entry: (len(entry.places), entry.id),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateQuery:
    """A query. `search` matches names, issuer, serial number and fingerprint, ignoring case.

    `status` selects entries with this status, `node` those assigned to it ("" for unassigned ones). Entries
    that are valid now, and for every name of the node `fitting`, come first.
    """

    search: str = ""
    status: StatusCode | None = None
    node: str | None = None
    fitting: str | None = None
    order: CertificateOrder = CertificateOrder.ID
    descending: bool = False
    offset: int = 0
    limit: int = PAGE

    def __post_init__(self) -> None:
        if not 1 <= self.limit <= PAGE_MAX:
            raise InvalidInputError("limit", f"a page has 1 to {PAGE_MAX} entries")
        if self.offset < 0:
            raise InvalidInputError("offset", "an offset cannot be negative")


def list_page(inventory: Inventory, query: CertificateQuery, *, now_s: int) -> ListPage[Entry]:
    """Return the entries of one page."""
    found = [
        entry
        for entry in inventory.entries.values()
        if _is_wanted(entry, query)
        and (
            query.status is None
            or any(status.code is query.status for status in inventory.statuses(entry.id, now_s=now_s))
        )
    ]
    found = sort_rows(found, _sorts(inventory, query, now_s))
    return page_from(found, offset=query.offset, limit=query.limit)


def _sorts(inventory: Inventory, query: CertificateQuery, now_s: int) -> list[Sort[Entry]]:
    sorts: list[Sort[Entry]] = []
    if query.fitting is not None:
        node = next((each for name, each in inventory.nodes.items() if name == query.fitting), None)
        if node is None:
            raise NotFoundError(f"there is no node '{query.fitting}'")
        sorts.append(Sort(lambda entry: not fits(entry, node, now_s=now_s)))
    if query.order is CertificateOrder.STATUS:
        sorts.append(Sort(lambda entry: _badness(inventory, entry, now_s), query.descending))
    elif query.order is not CertificateOrder.ID or query.descending:
        sorts.append(Sort(_KEYS[query.order], query.descending))
    return sorts


def fits(entry: Entry, node: NodeRecord, *, now_s: int) -> bool:
    """Whether a node can load a certificate, and its clients accept the names, validity and purpose."""
    leaf = entry.leaf
    is_usable = allows(leaf, Purpose.SERVER) and not entry.is_held_out
    return is_usable and is_within_validity(leaf, now_s=now_s) and not find_uncovered(leaf, node)


def _end(entry: Entry) -> tuple[bool, int]:
    """Return the sort key of an entry's end: unreadable ends come first, because they need attention."""
    return entry.leaf.not_after_s is not None, as_number(entry.leaf.not_after_s)


def _badness(inventory: Inventory, entry: Entry, now_s: int) -> tuple[int, bool, int, int]:
    """Return the sort key that puts the worst entry first, then the first to expire."""
    number = entry.id
    found = headline(
        inventory.statuses(number, now_s=now_s),
        inventory.chain(number, now_s=now_s).state,
        inventory.findings(number, now_s=now_s),
    )
    return _SEVERITIES.index(found.severity), *_end(entry), number


def _is_wanted(entry: Entry, query: CertificateQuery) -> bool:
    if query.node is not None and not (
        any(place.node == query.node for place in entry.places) if query.node else not entry.places
    ):
        return False
    if not query.search:
        return True
    leaf = entry.leaf
    texts = (leaf.raw_subject, leaf.issuer_name, leaf.serial_no, leaf.fingerprint, *leaf.subject_alt_names)
    return mentions(texts, query.search)
