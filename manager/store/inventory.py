"""Inventory of the store: its content, decoded once and kept up to date.

Stored certificates go through OpenSSL when they are read: an older version may have accepted some that nodes
cannot load.

Owns the one copy in memory. Decides what is read again: only what this process changed, if it made all
changes since the last read, and everything otherwise. Invariant: `current` never returns anything older than
the last change before the call, and costs nothing while nothing changes.
"""

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from types import MappingProxyType
from typing import Final

from common.errors import PkiError
from common.ids import CertificateId, TrustedCaId
from common.pki.certificate import Certificate, decode
from common.pki.pem import CERTIFICATE, read_blocks
from common.runtime.openssl import refusals
from manager.domain.inventory import Entry, Inventory, Trust, assign
from manager.domain.model import CertificateRecord, TrustedCaRecord
from manager.domain.partial_inventory import PartialInventory, reread
from manager.store.journal import Touched
from manager.store.store import Store

READ_AT_ONCE: Final = 500
"""How many certificates are read and decoded at once: about 100 ms in a thread."""

CAS_MAX: Final = 5_000
"""How many decoded intermediates are remembered; thousands of certificates share the same few."""


class Inventories:
    """`builtin` is the built-in list of public CAs."""

    def __init__(self, store: Store, builtin: Sequence[Certificate] = ()) -> None:
        self._store = store
        self._builtin = tuple(builtin)
        self._reading = asyncio.Lock()
        self._last: Inventory | None = None
        self._cas: dict[bytes, Certificate] = {}

    async def current(self) -> Inventory:
        """Return the current inventory. Raises StorageError."""
        async with self._reading:
            # read before the content, which may then be newer than these numbers, but never older
            noted = self._store.journal.count
            revision = await self._store.meta.revision()
            last = self._last
            if last is not None and last.revision > revision:
                # it was committed meanwhile, or a server took over without the last changes and reuses their
                # numbers
                revision = await self._store.meta.revision()
                if last.revision > revision:
                    self._store.journal.forget()
                    self._last = last = None
            if last is not None and last.revision >= revision and last.noted >= noted:
                return last
            touched = self._store.journal.since(last.revision, revision, noted=last.noted) if last else None
            if last is None or touched is None:
                found = await self._read(revision, noted, last)
            else:
                found = await self._read_again(max(revision, last.revision), noted, last, touched)
            self._keep(found)
            return self._last or found

    async def changed(self, before: Inventory) -> Inventory:
        """Return the inventory that the open transaction leaves; `current` returns it once that is committed.

        `before` is the inventory as the transaction began; the transaction must change nothing more. Requests
        answer from this: a later read may already lack what somebody else deleted. Raises StorageError.
        """
        revision, touched = await self._store.meta.next_revision(), self._store.touched
        if before.revision + 1 == revision and not touched.everything:
            found = await self._read_again(revision, before.noted, before, touched)
        else:
            found = await self._read(revision, before.noted, before)
        self._store.after_commit(partial(self._keep, found))
        return found

    def _keep(self, found: Inventory) -> None:
        # another change may have been committed and read meanwhile
        last = self._last
        if last is None or (last.revision, last.noted) < (found.revision, found.noted):
            self._last = found

    async def _read_again(self, revision: int, noted: int, last: Inventory, touched: Touched) -> Inventory:
        """Return the inventory after changes that touched only this."""
        store, trusted_cas, trust = self._store, last.trusted_cas, last.trust
        if touched.trusted_cas:
            trusted_cas, trust = await self._trusted(last)
        names, numbers = frozenset(touched.nodes), frozenset(touched.certificates)
        reading = PartialInventory(
            names=names,
            numbers=numbers,
            entries=await self._decoded(numbers) if numbers else {},
            places=await store.assignments.of(names) if names else (),
            nodes=await store.nodes.some(names) if names else (),
            trusted_cas=trusted_cas,
            trust=trust,
        )
        return reread(last, reading, revision=revision, noted=noted)

    async def _decoded(self, numbers: Collection[CertificateId]) -> dict[CertificateId, Entry]:
        records = await self._store.certificates.list(numbers)
        if len(self._cas) > CAS_MAX:
            self._cas = {}
        return await asyncio.to_thread(_decode_entries, records, self._cas)

    async def _trusted(self, last: Inventory | None) -> tuple[Mapping[TrustedCaId, TrustedCaRecord], Trust]:
        records = {record.id: record for record in await self._store.trusted_cas.list()}
        if last is not None and records == last.trusted_cas:
            return records, last.trust
        return records, await asyncio.to_thread(self._trust, records.values())

    async def _read(self, revision: int, noted: int, last: Inventory | None) -> Inventory:
        records, trust = await self._trusted(last)
        places, nodes = await self._store.assignments.list(), await self._store.nodes.list()
        by_name = {node.name: node for node in nodes}
        entries, slots = assign(await self._entries(last), places, by_name)
        inventory = Inventory(
            revision=revision,
            noted=noted,
            entries=entries,
            trusted_cas=records,
            nodes=by_name,
            slots=slots,
            trust=trust,
        )
        if last is not None:
            inventory.carry_chains(last)
        return inventory

    def _trust(self, records: Iterable[TrustedCaRecord]) -> Trust:
        custom = {record.id: _decode_all(record.certificate_pem, {})[0] for record in records}
        refused = refusals(list(custom.values()))
        held_out = {
            number: refused[one.fingerprint] for number, one in custom.items() if one.fingerprint in refused
        }
        return Trust(custom, self._builtin, held_out)

    async def _entries(self, last: Inventory | None) -> Mapping[CertificateId, Entry]:
        known = last.entries if last is not None else {}
        changes = await self._store.certificates.changes()
        entries = {
            number: known[number]
            for number, changed_s in changes.items()
            if number in known and known[number].changed_s == changed_s
        }
        missing = [number for number in changes if number not in entries]
        if not missing:
            return entries
        for start in range(0, len(missing), READ_AT_ONCE):
            entries.update(await self._decoded(missing[start : start + READ_AT_ONCE]))
        return {number: entries[number] for number in changes if number in entries}


def _decode_entries(
    records: Iterable[CertificateRecord], seen: dict[bytes, Certificate]
) -> dict[CertificateId, Entry]:
    entries = {record.id: _entry(record, seen) for record in records}
    refused = refusals(list({one for each in entries.values() for one in (each.leaf, *each.uploaded)}))
    if not refused:
        return entries
    return {
        number: replace(
            each,
            refused={
                one.fingerprint: refused[one.fingerprint]
                for one in (each.leaf, *each.uploaded)
                if one.fingerprint in refused
            },
        )
        for number, each in entries.items()
    }


def _entry(record: CertificateRecord, seen: dict[bytes, Certificate]) -> Entry:
    (leaf,) = _decode_all(record.leaf_pem, seen)
    known = {leaf.der: leaf}
    came = _decode_all(record.chain_pem, seen, known) + _decode_all(record.text, seen, known, as_far=True)
    uploaded = dict.fromkeys(one for one in came if one != leaf)
    return Entry(
        id=record.id,
        leaf=leaf,
        uploaded=tuple(uploaded),
        temporary=record.temporary,
        created_s=record.created_s,
        changed_s=record.changed_s,
    )


def _decode_all(
    pem: str,
    seen: dict[bytes, Certificate],
    known: Mapping[bytes, Certificate] = MappingProxyType({}),
    *,
    as_far: bool = False,
) -> list[Certificate]:
    """Decode what is neither in `seen` nor in `known`, and remember CAs in `seen`, because leaves share them.

    Decodes `as_far` as possible: this release may find blocks in a text that an earlier one overlooked when
    it accepted the text, which cannot be refused now.
    """
    found = []
    for block in read_blocks(pem).blocks:
        if block.label == CERTIFICATE:
            try:
                found.append(known.get(block.der) or seen.get(block.der) or decode(block.der))
            except PkiError:
                if not as_far:
                    raise
                continue
            if found[-1].is_ca:
                seen[block.der] = found[-1]
    return found
