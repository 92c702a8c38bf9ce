"""Inventory of the store: what it holds, decoded once and kept up to date.

What stands in the store is tried by OpenSSL as it is read: an older version may have kept what nodes cannot load.

Owns the one copy in memory. Invariant: what `current` returns is never older than the last change that was written before the
call, and reading it again costs nothing while nothing changes.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from types import MappingProxyType
from typing import Final

from common.errors import PkiError
from common.ids import CertificateId
from common.pki.certificate import Certificate, decode
from common.pki.pem import CERTIFICATE, read_blocks
from common.runtime.openssl import refusals
from manager.domain.inventory import Entry, Inventory, Trust, assigned
from manager.domain.model import CertificateRecord, TrustedCaRecord
from manager.store.store import Store

READ_AT_ONCE: Final = 500
"""Certificates that are read and decoded in one go: about 100 ms in a thread."""


class Inventories:
    """`builtin` is the list of CAs that everybody trusts."""

    def __init__(self, store: Store, builtin: Sequence[Certificate] = ()) -> None:
        self._store = store
        self._builtin = tuple(builtin)
        self._reading = asyncio.Lock()
        self._last: Inventory | None = None

    async def current(self) -> Inventory:
        """Return the inventory as of now. Raises StorageError."""
        async with self._reading:
            # read before the content: what is read later may be newer, never older, than this says
            revision = await self._store.meta.revision()
            if self._last is None or self._last.revision != revision:
                self._last = await self._read(revision, self._last)
            return self._last

    async def changed(self, before: Inventory) -> Inventory:
        """Return what the open transaction leaves, which began with `before` and changes nothing any more; `current` has it once it is on disk.

        A change is answered from this: what is read after its end may lack what somebody else deleted. Raises StorageError.
        """
        found = await self._read(await self._store.meta.next_revision(), before)
        self._store.after_commit(partial(self._keep, found))
        return found

    def _keep(self, found: Inventory) -> None:
        # another process may have gone on, and `current` have read that
        if self._last is None or self._last.revision < found.revision:
            self._last = found

    async def _read(self, revision: int, last: Inventory | None) -> Inventory:
        records = {record.id: record for record in await self._store.trusted_cas.list()}
        trust = last.trust if last is not None and records == last.trusted_cas else None
        if trust is None:
            trust = await asyncio.to_thread(self._trust, records.values())
        places, nodes = await self._store.assignments.list(), await self._store.nodes.list()
        by_name = {node.name: node for node in nodes}
        entries, slots = assigned(await self._entries(last), places, by_name)
        inventory = Inventory(
            revision=revision, entries=entries, trusted_cas=records, nodes=by_name, slots=slots, trust=trust
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
        # intermediates are the same few for thousands of certificates, those that are known already among them
        seen = {one.der: one for each in entries.values() for one in each.uploaded if one.is_ca}
        for start in range(0, len(missing), READ_AT_ONCE):
            records = await self._store.certificates.list(missing[start : start + READ_AT_ONCE])
            entries.update(await asyncio.to_thread(_decode_entries, records, seen))
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
    """Decode what is neither seen nor known; CAs are remembered in `seen`, because leaves share them.

    `as_far` as it goes: a text that an earlier release took may show blocks now that it did not see, and cannot be refused any more.
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
