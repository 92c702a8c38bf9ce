"""Certificate signing requests: making one for a new or existing certificate, and taking the CA's answer."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import structlog

from common.bundle.manifest import Slot
from common.codes import KeyKind
from common.errors import Hint, InvalidInputError, NotFoundError
from common.ids import NO_CERTIFICATE, CertificateId, CsrId, NodeName
from manager.domain.consequences import Consequence
from manager.domain.inventory import Inventory
from manager.domain.model import CsrRecord
from manager.pki.read.keys import private_key_pem
from manager.pki.read.material import TlsMaterial
from manager.pki.read.upload import read_private_key
from manager.pki.write.csr import Csr, CsrFields, make_request, prefill
from manager.pki.write.keys import kind_like, make_key
from manager.store.catalogue import KeptAnswer
from manager.store.records import NewCsr
from manager.usecases.confirming import assess_answer, assess_csr_deletion
from manager.usecases.context import Context
from manager.usecases.kept import new_certificate
from manager.usecases.material_checks import read_for_key
from manager.usecases.workers import MAKE_KEY_TIMEOUT_S, READ_TIMEOUT_S

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyChoice:
    """Key of a request: a new one of a kind, a given PEM (perhaps encrypted), or one like the replaced key."""

    kind: KeyKind | None = None
    is_alike: bool = False
    private_key: str = field(default="", repr=False)
    passphrase: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class CsrChanges:
    """Fields of a request that differ from the prefilled ones; None leaves a field unchanged.

    `extra_alt_names` are added to the prefilled names. `template` names a Microsoft certificate template, ""
    for none.
    """

    subject: str | None = None
    alt_names: Sequence[str] | None = None
    extra_alt_names: Sequence[str] = ()
    server_auth: bool | None = None
    client_auth: bool | None = None
    template: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnsweredCsr:
    """Result of a signed answer: the stored entry, consequences for nodes and clients, and the new inventory."""

    kept: KeptAnswer
    consequences: Sequence[Consequence]
    inventory: Inventory


class CsrUseCases:
    def __init__(self, context: Context) -> None:
        self._context = context

    async def fields_for(self, certificate_id: CertificateId) -> CsrFields:
        """Return the prefilled fields of a request that replaces a certificate, for editing.

        Raises NotFoundError.
        """
        inventory = await self._context.inventories.current()
        entry = inventory.entries.get(certificate_id)
        if entry is None:
            raise NotFoundError(f"there is no certificate {certificate_id}", hint=Hint.LIST_CERTIFICATES)
        return prefill(entry.leaf, as_client=any(place.slot == "client" for place in entry.places))

    async def kind_for(self, certificate_id: CertificateId | None) -> KeyKind:
        """Return a kind of key at least as strong as that of the certificate to replace."""
        inventory = await self._context.inventories.current()
        entry = inventory.entries.get(certificate_id or NO_CERTIFICATE)
        return kind_like(entry.leaf.key_type, entry.leaf.key_bits) if entry is not None else KeyKind.RSA2048

    async def create(
        self, *, replaces: CertificateId | None, changes: CsrChanges, key: KeyChoice, actor: str
    ) -> CsrRecord:
        """Make a key (or use the given one) and a request signed with it, and store both.

        Raises InvalidInputError, PkiFindingsError or NotFoundError.
        """
        base = CsrFields(subject="") if replaces is None else await self.fields_for(replaces)
        if key.is_alike:
            key = replace(key, kind=await self.kind_for(replaces))
        made, key_pem = await self._context.workers.run(
            MAKE_KEY_TIMEOUT_S, _make, _merged(base, changes), key
        )
        new = NewCsr(
            pem=made.pem,
            private_key_pem=key_pem,
            subject_name=made.subject_name,
            raw_subject=made.raw_subject,
            subject_alt_names=made.subject_alt_names,
            key_type=f"{made.key_type} {made.key_bits}" if made.key_type == "RSA" else made.key_type,
            replaces_id=replaces,
        )
        async with self._context.store.transaction():
            record = await self._context.store.csrs.add(new, now_s=self._context.clock())
            detail = {"subject": made.raw_subject}
            await self._context.audit(actor, "csr.made", f"request {record.id}", detail)
        log.info("csr.made", csr=record.id, user=actor)
        return record

    async def list(self) -> Sequence[CsrRecord]:
        return await self._context.store.csrs.list()

    async def get(self, csr_id: CsrId) -> CsrRecord:
        """Return one request. Raises NotFoundError."""
        return await self._context.store.csrs.get(csr_id)

    async def answer(
        self,
        csr_id: CsrId,
        *,
        certificate: str,
        parameters: str,
        passphrase: str | None = None,
        take_over: bool,
        nodes: Sequence[NodeName],
        slot: Slot,
        confirm: str | None = None,
        replaces: bool = False,
        actor: str,
    ) -> AnsweredCsr:
        """Take the certificate that a CA issued for a request, with its chain.

        It is stored next to the certificate that it replaces, or in place of it if issuer and serial number
        are equal. `passphrase` opens a PKCS#12 file. `take_over` moves the nodes of the replaced certificate
        to it in the same step. The consequences include names that are missing compared with the request and
        with the replaced certificate. `confirm` and `replaces` work as for an upload. Raises PkiFindingsError
        if the certificate does not match the request's key, InvalidInputError, NotFoundError,
        IdentityConflictError or ConfirmationNeededError; nothing is changed then.
        """
        store, where = self._context.store, list(nodes)
        record = await store.csrs.get(csr_id)
        if take_over and record.replaces_id is None:
            raise InvalidInputError(
                "take_over", "this request replaces no certificate, so there are no nodes to take over"
            )
        material = await self._read(record, certificate, parameters, passphrase)
        now_s = self._context.clock()
        async with self._context.deciding() as inventory:
            record = await store.csrs.get(csr_id)
            impact = await asyncio.to_thread(
                assess_answer, inventory, record, material, where, slot, take_over=take_over, now_s=now_s
            )
            impact.require_confirmation(confirm, replaces=replaces)
            kept = await store.catalogue.answer(
                csr_id,
                new_certificate(impact.materials[0]),
                take_over=take_over,
                nodes=where,
                slot=slot,
                replaced=impact.replaced(confirm, replaces=replaces),
                now_s=now_s,
            )
            number = kept.certificate.id
            detail: dict[str, object] = {"certificate": number, "take_over": take_over}
            detail |= {"nodes": kept.nodes, **impact.noted}
            await self._context.audit(actor, "csr.answered", f"request {csr_id}", detail)
            then = await self._context.inventories.changed(inventory)
        log.info("csr.answered", csr=csr_id, certificate=number, user=actor)
        self._context.changed(kept.nodes, cause=f"request {csr_id} answered")
        return AnsweredCsr(kept=kept, consequences=impact.consequences, inventory=then)

    async def _read(
        self, record: CsrRecord, certificate: str, parameters: str, passphrase: str | None
    ) -> TlsMaterial:
        """Read an answer and pair it with the request's key. Raises PkiFindingsError."""
        return await self._context.workers.run(
            READ_TIMEOUT_S,
            read_for_key,
            certificate=certificate,
            private_key=await self._context.store.csrs.private_key(record.id),
            parameters=parameters,
            passphrase=passphrase,
            owner=f"the key of request {record.id} ({record.raw_subject or 'no subject'})",
        )

    async def delete(self, csr_ids: Sequence[CsrId], *, confirm: str | None = None, actor: str) -> None:
        """Remove all of these requests with their keys, or none.

        Raises NotFoundError or ConfirmationNeededError (`manager.usecases.confirming`).
        """
        numbers = list(dict.fromkeys(csr_ids))
        async with self._context.deciding() as inventory:
            records = [await self._context.store.csrs.get(number) for number in numbers]
            impact = await asyncio.to_thread(assess_csr_deletion, inventory, records)
            impact.require_confirmation(confirm)
            await self._context.store.csrs.delete(numbers)
            for number in numbers:
                await self._context.audit(actor, "csr.deleted", f"request {number}")


def _merged(base: CsrFields, changes: CsrChanges) -> CsrFields:
    names = base.alternatives if changes.alt_names is None else changes.alt_names
    return replace(
        base,
        subject=base.subject if changes.subject is None else changes.subject,
        alternatives=tuple(dict.fromkeys((*names, *changes.extra_alt_names))),
        server_auth=base.server_auth if changes.server_auth is None else changes.server_auth,
        client_auth=base.client_auth if changes.client_auth is None else changes.client_auth,
        template=changes.template or None,
    )


def _make(fields: CsrFields, choice: KeyChoice) -> tuple[Csr, str]:
    """Make the request in a worker: generating an RSA key, or decrypting a given key, takes seconds."""
    if choice.kind is not None:
        key = make_key(choice.kind)
    else:
        key = read_private_key(choice.private_key, choice.passphrase)
    return make_request(fields, key), private_key_pem(key)
