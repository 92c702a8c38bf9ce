"""Trusted CAs: uploading, viewing, editing, exporting and deleting the custom ones, which every node gets."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import structlog

from common.errors import ChangedMeanwhileError, NotFoundError, PkiError
from common.ids import TrustedCaId
from common.pki.certificate import Certificate
from manager.domain.consequences import Consequence, ConsequenceCode
from manager.domain.etag import etag_of_trusted_ca
from manager.domain.inventory import Inventory
from manager.domain.model import TrustedCaRecord
from manager.pki.judge.status import Status, statuses
from manager.pki.text.certificate import text_form
from manager.pki.write.export import Download, trusted_pem
from manager.store.records import NewTrustedCa
from manager.usecases.confirming import Impact, assess_trust_addition, assess_trust_removal
from manager.usecases.context import Context
from manager.usecases.kept import new_trusted_ca
from manager.usecases.material_checks import read_trusted_ca, read_trusted_cas
from manager.usecases.trust_views import ShownTrustedCa, show_trusted_ca, trust_warnings
from manager.usecases.workers import READ_TIMEOUT_S

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenCas:
    """Result of an upload: each record with whether it is new, other findings, consequences and warnings."""

    kept: Sequence[tuple[TrustedCaRecord, bool]]
    left_out: Sequence[PkiError]
    consequences: Sequence[Consequence]
    warnings: Sequence[str]


@dataclass(frozen=True, slots=True)
class BuiltinCa:
    """A CA of the built-in list, which cannot be changed."""

    certificate: Certificate
    statuses: Sequence[Status]


class TrustUseCases:
    def __init__(self, context: Context) -> None:
        self._context = context

    async def take(
        self, certificates: str, *, skip_unusable: bool = False, confirm: str | None = None, actor: str
    ) -> TakenCas:
        """Store every CA certificate of a text or none; with `skip_unusable`, store the usable ones.

        Raises PkiFindingsError with every finding, or if no certificate is usable. Raises
        ConfirmationNeededError if the list of client CAs becomes too long for TLS, or if a new CA is less
        useful than the stored one that it replaces.
        """
        found = await self._context.workers.run(
            READ_TIMEOUT_S, read_trusted_cas, certificates, skip_unusable=skip_unusable
        )
        async with self._context.deciding() as inventory:
            now_s = int(self._context.clock())
            impact = await asyncio.to_thread(
                assess_trust_addition, inventory, found.certificates, now_s=now_s
            )
            impact.require_confirmation(confirm)
            new = await asyncio.to_thread(lambda: [new_trusted_ca(each) for each in found.certificates])
            kept = await self._keep(new, actor=actor)
            then = await self._context.inventories.changed(inventory)
        self._tell(len(kept), cause="uploaded", actor=actor)
        added = {record.id for record, _ in kept}
        return TakenCas(
            kept=kept,
            left_out=found.left_out,
            consequences=impact.consequences,
            warnings=await asyncio.to_thread(trust_warnings, then, added, now_s=now_s),
        )

    async def upload_one(
        self, certificate: str, *, trusted_intermediate: bool, actor: str
    ) -> tuple[TrustedCaRecord, bool]:
        """Store the only CA certificate of a text, with the text unchanged; return it and whether it is new.

        For programs that cannot confirm: a client CA list that becomes too long for TLS raises an alarm, as
        after any other change (docs/decisions/0018-programs-that-cannot-confirm.md). Raises PkiFindingsError
        with every finding, also for more than one certificate.
        """
        found = await self._context.workers.run(READ_TIMEOUT_S, read_trusted_ca, certificate)
        new = await asyncio.to_thread(
            new_trusted_ca, found, text=certificate, trusted_intermediate=trusted_intermediate
        )
        (kept,) = await self._keep([new], actor=actor)
        self._tell(1, cause="uploaded", actor=actor)
        return kept

    async def list(self) -> Sequence[ShownTrustedCa]:
        """Return all custom CAs."""
        inventory, now_s = await self._context.inventories.current(), int(self._context.clock())
        return await asyncio.to_thread(
            lambda: [
                show_trusted_ca(record, inventory.trust, now_s) for record in inventory.trusted_cas.values()
            ]
        )

    async def get(self, trusted_ca_id: TrustedCaId) -> TrustedCaRecord:
        """Return the record of one CA. Raises NotFoundError."""
        return await self._context.store.trusted_cas.get(trusted_ca_id)

    async def builtin(self) -> Sequence[BuiltinCa]:
        """Return the built-in list."""
        inventory, now_s = await self._context.inventories.current(), int(self._context.clock())
        return await asyncio.to_thread(
            lambda: [
                BuiltinCa(one, statuses(one, now_s=now_s, trusted_ca=True)) for one in inventory.trust.builtin
            ]
        )

    async def show(self, trusted_ca_id: TrustedCaId) -> ShownTrustedCa:
        """Return one CA, decoded. Raises NotFoundError."""
        record = await self._context.store.trusted_cas.get(trusted_ca_id)
        inventory = await self._context.inventories.current()
        if trusted_ca_id not in inventory.trust.custom:
            raise NotFoundError(f"trusted CA {trusted_ca_id} was deleted a moment ago")
        return await self._describe(record, inventory)

    async def _describe(self, record: TrustedCaRecord, inventory: Inventory) -> ShownTrustedCa:
        shown = show_trusted_ca(record, inventory.trust, int(self._context.clock()))
        return replace(shown, text=await asyncio.to_thread(text_form, shown.certificate))

    async def warnings(self) -> Sequence[str]:
        """Return the warnings about trusted CAs: about each unusable one, and about all of them together."""
        inventory, now_s = await self._context.inventories.current(), int(self._context.clock())
        return await asyncio.to_thread(trust_warnings, inventory, inventory.trusted_cas.keys(), now_s=now_s)

    async def edit(
        self,
        trusted_ca_id: TrustedCaId,
        *,
        certificate: str | None,
        trusted_intermediate: bool | None,
        force: bool,
        seen: str | None = None,
        confirm: str | None = None,
        actor: str,
    ) -> ShownTrustedCa:
        """Replace an entry's certificate, or change whether an intermediate verifies peers.

        None keeps the value.

        Return it.

        An intermediate that stops verifying peers counts as lost. Raises PkiFindingsError, NotFoundError,
        IdentityConflictError (another entry has the same identity), ConfirmationNeededError as for `delete`
        and `take`, and ChangedMeanwhileError (the entry is not the version that was `seen`, or changed since
        it was read).
        """
        store = self._context.store.trusted_cas
        record = await store.get(trusted_ca_id)
        _check_same(trusted_ca_id, record, seen)
        text = record.text if certificate is None else certificate
        read = await self._context.workers.run(READ_TIMEOUT_S, read_trusted_ca, text)
        wanted = record.trusted_intermediate if trusted_intermediate is None else trusted_intermediate
        new = await asyncio.to_thread(new_trusted_ca, read, text=text, trusted_intermediate=wanted)
        is_verifying = new.decoded.self_signed or new.trusted_intermediate
        async with self._losing(
            {trusted_ca_id},
            [] if record.is_anchor and not is_verifying else [read],
            edited=read,
            verifying=[read] if is_verifying else [],
            force=force,
            confirm=confirm,
        ) as inventory:
            # the decisions above used the entry as it was read
            _check_same(trusted_ca_id, await store.get(trusted_ca_id), etag_of_trusted_ca(record))
            kept = await store.update(trusted_ca_id, new)
            detail = {"fingerprint": kept.fingerprint, "trusted_intermediate": kept.trusted_intermediate}
            await self._context.audit(actor, "trusted_ca.edited", f"trusted CA {trusted_ca_id}", detail)
            then = await self._context.inventories.changed(inventory)
        self._tell(1, cause="edited", actor=actor)
        return await self._describe(kept, then)

    async def export(self) -> Download:
        """Return all custom CAs in one file."""
        inventory = await self._context.inventories.current()
        return trusted_pem(inventory.trust.custom.values())

    async def delete(
        self, trusted_ca_ids: Sequence[TrustedCaId], *, force: bool, confirm: str | None = None, actor: str
    ) -> None:
        """Remove all of these or none.

        Raises NotFoundError, and ConfirmationNeededError if all or more than a fifth of the custom CAs would
        be removed, unless forced or confirmed. With a `confirm` of "", any removal needs a confirmation.
        """
        store, numbers = self._context.store.trusted_cas, list(dict.fromkeys(trusted_ca_ids))
        for number in numbers:
            await store.get(number)
        async with self._losing(set(numbers), [], edited=None, verifying=[], force=force, confirm=confirm):
            await store.delete(numbers)
            await self._context.audit(actor, "trusted_ca.deleted", "trusted CAs", {"ids": numbers})
        self._tell(len(numbers), cause="deleted", actor=actor)

    async def _keep(
        self, new: Sequence[NewTrustedCa], *, actor: str
    ) -> Sequence[tuple[TrustedCaRecord, bool]]:
        async with self._context.store.transaction():
            kept = await self._context.store.trusted_cas.add(new, now_s=self._context.clock())
            detail = {"subjects": [record.display_name for record, _ in kept]}
            await self._context.audit(actor, "trusted_ca.uploaded", "trusted CAs", detail)
        return kept

    @asynccontextmanager
    async def _losing(
        self,
        gone: set[TrustedCaId],
        new: Sequence[Certificate],
        *,
        edited: Certificate | None,
        verifying: Sequence[Certificate],
        force: bool,
        confirm: str | None,
    ) -> AsyncIterator[Inventory]:
        """Open the transaction that removes trusted CAs, with the inventory it starts from.

        Refuses a large loss, or a CA that would verify too much, unless forced or confirmed. Each change is
        judged by the state that the previous one left: two small losses at once may be a large one. Records
        the remaining anchor count for nodes that ask.
        """

        def assess(inventory: Inventory) -> Impact | None:
            if force:
                return None
            now_s = int(self._context.clock())
            # chains that were not built yet are built for this, which takes seconds with thousands of
            # certificates
            return assess_trust_removal(inventory, gone, new, edited=edited, verifying=verifying, now_s=now_s)

        async with self._context.deciding_on(assess) as (inventory, impact):
            if impact is not None:
                # without a token only a large loss prevents the deletion; API clients rely on this
                is_large = any(each.code == ConsequenceCode.TRUST_SHRINKS for each in impact.consequences)
                impact.require_confirmation("" if confirm is None and is_large else confirm)
            # nodes do not receive held-out CAs, so these do not count as anchors
            missing = gone | inventory.trust.held_out.keys()
            stay = [one for number, one in inventory.trusted_cas.items() if number not in missing]
            anchors = len(inventory.trust.builtin) + sum(one.is_anchor for one in stay)
            await self._context.store.trusted_cas.confirm_anchor_count(anchors)
            yield inventory

    def _tell(self, count: int, *, cause: str, actor: str) -> None:
        log.info("trust.changed", count=count, user=actor, cause=cause)
        self._context.changed(None, cause=f"trusted CAs {cause}")


def _check_same(number: TrustedCaId, record: TrustedCaRecord, seen: str | None) -> None:
    """Check that an entry is the version that was `seen`; None accepts any. Raises ChangedMeanwhileError."""
    if seen not in {None, etag_of_trusted_ca(record)}:
        raise ChangedMeanwhileError(f"trusted CA {number} was changed in the meantime; look at it again")
