"""Renewals: switching one on for a certificate, or ordering one that is not there yet; trying, changing, pausing and ending it.

Decides what can be ordered. Leaves carrying orders out to the runner. Invariant: what is switched on can be ordered: its names are of kinds that CAs
prove by the challenge that was chosen.
"""

import ipaddress
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import structlog

from common.bundle.manifest import Slot
from common.codes import KeyKind
from common.errors import ConflictError, Hint, InvalidInputError, NotFoundError, Reason
from common.ids import CertificateId, NodeName
from manager.domain.inventory import Entry, Inventory
from manager.domain.renewal.records import (
    AccountId,
    ChallengeKind,
    OrderRecord,
    RenewalId,
    RenewalRecord,
    Terms,
)
from manager.domain.renewal.schedule import at_once_s, entry_of, names_of
from manager.pki.read.csr import kind_like
from manager.usecases.context import Context
from manager.usecases.renewal.beginning import Beginning

log = structlog.get_logger(__name__)

NAMES_MAX: Final = 100
"""Names of one certificate: Let's Encrypt signs 100, and 25 with some profiles."""

WORD_MAX_CHARS: Final = 255
"""Of a profile, of a root's Common Name, and of who a request is to be sent to."""

ATTEMPTS_SHOWN: Final = 20

ORDERS_KEPT: Final = 50
"""Of one renewal, those that are over."""

NEW: Final = RenewalId(0)
"""What stands for the number of a renewal that is not in the store yet."""

_HOST: Final = re.compile(
    r"(?:\*\.)?(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownRenewal:
    """A renewal with its certificate, if it is there, and its latest orders, the latest first."""

    renewal: RenewalRecord
    entry: Entry | None
    orders: Sequence[OrderRecord]


class RenewalUseCases:
    """`wake` lets the runner look at once."""

    def __init__(self, context: Context, *, wake: Callable[[], None]) -> None:
        self._context = context
        self._beginning = Beginning(context)
        self._wake = wake

    async def list(self) -> Sequence[ShownRenewal]:
        """Return all but those that are over, each with its latest order."""
        entries = (await self._context.inventories.current()).entries
        records, latest = await self.records(), await self._context.store.orders.latest()
        return [
            ShownRenewal(
                renewal=each,
                entry=entry_of(each, entries),
                orders=[latest[each.id]] if each.id in latest else [],
            )
            for each in records
        ]

    async def records(self) -> Sequence[RenewalRecord]:
        """Return all but those that are over, without their orders."""
        return [each for each in await self._context.store.renewals.list() if not each.is_over]

    async def show(self, renewal_id: RenewalId) -> ShownRenewal:
        """Return one with its latest orders. Raises NotFoundError."""
        return await self._shown(await self._context.store.renewals.get(renewal_id))

    async def of_certificate(self, certificate_id: CertificateId) -> ShownRenewal | None:
        """Return that of a certificate with its latest orders, None if it is not renewed."""
        renewal = await self._context.store.renewals.of_certificate(certificate_id)
        return None if renewal is None else await self._shown(renewal)

    async def terms_for(
        self, certificate_id: CertificateId, account_id: AccountId, challenge: ChallengeKind
    ) -> Terms:
        """Return with what a certificate would be renewed, to be edited: its names and those of its nodes, and a key as strong as its own. Raises NotFoundError."""
        inventory = await self._context.inventories.current()
        entry = _require(inventory, certificate_id)
        kind = kind_like(entry.leaf.key_type, entry.leaf.key_bits)
        own = (*entry.leaf.dns_names, *entry.leaf.ip_addresses)
        nodes = dict.fromkeys(place.node for place in entry.places if place.slot == "server")
        more = [name for node in nodes for name in inventory.nodes[node].client_names if _kind_of(name)]
        return Terms(
            account_id=account_id,
            challenge=challenge,
            key=kind,
            names=tuple(dict.fromkeys(each.lower() for each in (*own, *more))),
        )

    async def switch_on(
        self,
        certificate_id: CertificateId,
        terms: Terms | None,
        *,
        paused: bool = False,
        send_to: str = "",
        actor: str,
    ) -> RenewalRecord:
        """Let a certificate be renewed: with `terms`, or, without, by a request for `send_to`. One that is `paused` can be tried first.

        Raises NotFoundError, InvalidInputError, ConflictError (it is renewed already).
        """
        entry = _require(await self._context.inventories.current(), certificate_id)
        given = None if terms is None else _checked(terms, entry)
        return await self._add(
            certificate_id, given, paused=paused, send_to=_word("send_to", send_to), actor=actor
        )

    async def order_new(
        self, terms: Terms, *, nodes: Sequence[NodeName], slot: Slot, paused: bool = False, actor: str
    ) -> RenewalRecord:
        """Order a certificate that is not there yet, for a slot of some nodes, and renew it from then on. Raises NotFoundError, InvalidInputError."""
        for name in nodes:
            await self._context.store.nodes.get(name)
        return await self._add(
            None, _checked(terms, None), nodes=nodes, slot=slot, paused=paused, actor=actor
        )

    async def change(
        self, renewal_id: RenewalId, terms: Terms | None, *, send_to: str = "", actor: str
    ) -> RenewalRecord:
        """Let it be renewed with other terms. An order that is under way ends, unless the CA has signed already. Raises NotFoundError, InvalidInputError."""
        entries = (await self._context.inventories.current()).entries
        store = self._context.store
        async with store.transaction():
            known = await store.renewals.get(renewal_id)
            if known.is_new and terms is None:
                raise InvalidInputError(
                    "terms", "a certificate that is not there yet cannot be renewed by request"
                )
            given = None if terms is None else _checked(terms, entry_of(known, entries))
            # what was wrong may be no longer
            record = replace(
                known,
                terms=given,
                send_to=_word("send_to", send_to),
                failures=0,
                tried_again_s=at_once_s(known),
                problem=known.problem if at_once_s(known) else None,
                changed_s=self._context.clock(),
            )
            await store.renewals.keep(record)
            await self._context.note(actor, "renewal.changed", f"renewal {renewal_id}", _detail(record))
        self._looked_at("renewal.changed", renewal_id, actor)
        return record

    async def set_paused(self, renewal_id: RenewalId, *, paused: bool, actor: str) -> RenewalRecord:
        """Let nothing be ordered for a while, or go on at once. Raises NotFoundError."""
        store, act = self._context.store, "renewal.paused" if paused else "renewal.resumed"
        async with store.transaction():
            known = await store.renewals.get(renewal_id)
            record = replace(known, is_paused=paused, changed_s=self._context.clock())
            if not paused:
                record = replace(record, tried_again_s=at_once_s(known))
            await store.renewals.keep(record)
            await self._context.note(actor, act, f"renewal {renewal_id}")
        self._looked_at(act, renewal_id, actor)
        return record

    async def remove(self, renewal_id: RenewalId, *, actor: str) -> None:
        """Renew no longer; the certificate stays. An order that is under way is ended first, by the runner. Raises NotFoundError."""
        store = self._context.store
        async with store.transaction():
            known = await store.renewals.get(renewal_id)
            if await store.orders.unfinished_of(renewal_id) is None:
                await store.renewals.delete(renewal_id)
            else:
                over = replace(
                    known, certificate_id=None, is_new=False, nodes=(), changed_s=self._context.clock()
                )
                await store.renewals.keep(over)
            await self._context.note(actor, "renewal.removed", f"renewal {renewal_id}")
        self._looked_at("renewal.removed", renewal_id, actor)

    async def test(self, renewal_id: RenewalId, *, actor: str) -> OrderRecord:
        """Begin an order at the CA's directory for tests; its end is `tested` or `failed`. Raises NotFoundError, ConflictError, InvalidInputError."""
        renewal = await self._context.store.renewals.get(renewal_id)
        if renewal.terms is not None:
            account = await self._context.store.accounts.get(renewal.terms.account_id)
            if not account.staging_url:
                raise ConflictError(f"the account '{account.name}' has no directory for tests")
        await self._context.note(actor, "renewal.tested", f"renewal {renewal_id}")
        order = await self._beginning.begin(renewal_id, is_test=True)
        self._looked_at("renewal.tested", renewal_id, actor)
        return order

    async def order_now(self, renewal_id: RenewalId, *, actor: str) -> OrderRecord:
        """Begin an order before its time. Raises NotFoundError, ConflictError (one is under way), InvalidInputError."""
        await self._context.note(actor, "renewal.ordered", f"renewal {renewal_id}")
        order = await self._beginning.begin(renewal_id, is_test=False)
        self._looked_at("renewal.ordered", renewal_id, actor)
        return order

    async def collect(self) -> None:
        """Forget orders that were over long ago. Raises StorageError."""
        await self._context.store.orders.collect(keep_each=ORDERS_KEPT)

    async def _add(
        self,
        certificate_id: CertificateId | None,
        terms: Terms | None,
        *,
        nodes: Sequence[NodeName] = (),
        slot: Slot = "server",
        paused: bool,
        send_to: str = "",
        actor: str,
    ) -> RenewalRecord:
        now_s = self._context.clock()
        new = RenewalRecord(
            id=NEW,
            certificate_id=certificate_id,
            terms=terms,
            nodes=tuple(dict.fromkeys(nodes)),
            slot=slot,
            is_new=certificate_id is None,
            is_paused=paused,
            send_to=send_to,
            created_s=now_s,
            changed_s=now_s,
        )
        async with self._context.store.transaction():
            record = await self._context.store.renewals.add(new)
            await self._context.note(actor, "renewal.added", f"renewal {record.id}", _detail(record))
        self._looked_at("renewal.added", record.id, actor)
        return record

    async def _shown(self, renewal: RenewalRecord) -> ShownRenewal:
        return ShownRenewal(
            renewal=renewal,
            entry=entry_of(renewal, (await self._context.inventories.current()).entries),
            orders=await self._context.store.orders.of_renewal(renewal.id, limit=ATTEMPTS_SHOWN),
        )

    def _looked_at(self, act: str, renewal_id: RenewalId, actor: str) -> None:
        log.info(act, renewal=renewal_id, user=actor)
        self._context.content_changed.set()
        self._wake()


def _require(inventory: Inventory, certificate_id: CertificateId) -> Entry:
    entry = inventory.entries.get(certificate_id)
    if entry is None:
        raise NotFoundError(f"there is no certificate {certificate_id}", hint=Hint.LIST_CERTIFICATES)
    return entry


def _detail(record: RenewalRecord) -> dict[str, object]:
    terms = record.terms
    detail: dict[str, object] = {"certificate": record.certificate_id, "nodes": list(record.nodes)}
    if terms is None:
        return {**detail, "send_to": record.send_to}
    return {
        **detail,
        "account": terms.account_id,
        "challenge": terms.challenge.value,
        "profile": terms.profile,
        "preferred_chain": terms.preferred_chain,
        "key": "kept" if terms.keeps_key else terms.key.value,
        "names": list(terms.names),
    }


def _checked(terms: Terms, entry: Entry | None) -> Terms:
    """Return terms as they are kept. Raises InvalidInputError."""
    names = tuple(dict.fromkeys(each.strip().lower() for each in terms.names if each.strip()))
    checked = replace(
        terms,
        names=names,
        profile=_word("profile", terms.profile),
        preferred_chain=_word("preferred_chain", terms.preferred_chain),
    )
    ordered = names_of(checked, entry)
    if not ordered:
        raise InvalidInputError("names", "there is no name to order a certificate for")
    if len(ordered) > NAMES_MAX:
        raise InvalidInputError("names", f"there are more than {NAMES_MAX} names", reason=Reason.TOO_BIG)
    for name in ordered:
        _check_name(name, terms.challenge)
    if entry is None and terms.keeps_key:
        raise InvalidInputError("keeps_key", "there is no certificate yet whose key could be kept")
    if terms.key not in set(KeyKind):
        raise InvalidInputError("key", "this kind of key is not made here")
    return checked


def _check_name(name: str, challenge: ChallengeKind) -> None:
    kind = _kind_of(name)
    if kind is None:
        raise InvalidInputError(
            "names",
            f"'{name[:80]}' is neither a host name with a domain nor an IP address, so no CA can prove it",
        )
    if kind == "address" and challenge is not ChallengeKind.HTTP:
        raise InvalidInputError("names", f"an IP address ({name}) is proven by http-01 only (RFC 8738 4)")
    if kind == "wildcard" and challenge is ChallengeKind.HTTP:
        raise InvalidInputError(
            "names", f"'{name}' stands for many names, which http-01 cannot prove; use dns-01"
        )


def _kind_of(name: str) -> str | None:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        pass
    else:
        return "address"
    if len(name) > 253 or not _HOST.fullmatch(name.lower()):
        return None
    return "wildcard" if name.startswith("*.") else "host"


def _word(part: str, text: str) -> str:
    word = text.strip()
    if len(word) > WORD_MAX_CHARS or not word.isprintable():
        raise InvalidInputError(part, f"this has at most {WORD_MAX_CHARS} printable characters")
    return word
