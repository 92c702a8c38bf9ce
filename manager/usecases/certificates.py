"""Uploading, importing, viewing, editing, assigning, downloading and deleting TLS certificates."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import structlog

from common.api.codes import ChainState, Format
from common.bundle.build import SlotMaterial
from common.bundle.manifest import SLOTS, Slot
from common.errors import ChangedMeanwhileError, Hint, InvalidInputError, NotFoundError, PkiError, Reason
from common.ids import NodeName
from common.pki.finding import Finding
from manager.domain.certificate_list import Query, list_page
from manager.domain.consequences import Consequence, ConsequenceCode
from manager.domain.inventory import Entry, Inventory, Judgement
from manager.domain.model import AssignmentRecord, CertificateRecord, TrustedCaRecord
from manager.pki.judge.headline import Headline, headline
from manager.pki.judge.identity import issuer_of, key_of
from manager.pki.judge.status import Status
from manager.pki.read.batch import ImportFile
from manager.pki.read.findings import raise_findings
from manager.pki.read.material import TlsMaterial
from manager.pki.text.certificate import text_form
from manager.pki.write.export import Download, ExportItem, export
from manager.store.records import NewCertificate
from manager.usecases.admission import read_batch, read_for_key, read_tls
from manager.usecases.confirming import (
    Rest,
    foresee_assigned,
    foresee_deleted,
    foresee_edited,
    foresee_emptied,
    foresee_imported,
    foresee_kept,
    other_keys,
)
from manager.usecases.context import Context
from manager.usecases.trust import new_trusted_ca
from manager.usecases.uploads import Upload, read_upload
from manager.usecases.workers import EXPORT_TIMEOUT_S, READ_TIMEOUT_S

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedCertificate:
    """A certificate as a list shows it: its statuses in the specification's words, the leading one first."""

    entry: Entry
    statuses: Sequence[Status]
    chain_state: ChainState
    findings: Sequence[Finding] = ()

    @property
    def headline(self) -> Headline:
        """Return what to say first."""
        return headline(self.statuses, self.chain_state, self.findings)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownCertificate:
    """A certificate with all that is to be said about it. `text` is the form that `openssl x509 -text` prints."""

    entry: Entry
    record: CertificateRecord
    judgement: Judgement
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EditableCertificate:
    """What can be changed of a certificate: its texts, and the slots that it is assigned to."""

    record: CertificateRecord
    places: Sequence[AssignmentRecord]


@dataclass(frozen=True, slots=True, kw_only=True)
class Uploaded:
    """What came of an upload: the entry, whether it is a new one, and what followed for nodes and clients."""

    record: CertificateRecord
    created: bool
    consequences: Sequence[Consequence]


@dataclass(frozen=True, slots=True, kw_only=True)
class Assigned:
    """The nodes that have a certificate now, and what followed."""

    nodes: Sequence[NodeName]
    consequences: Sequence[Consequence]


@dataclass(frozen=True, slots=True, kw_only=True)
class NewKey:
    """A private key in PEM, perhaps encrypted."""

    pem: str = field(repr=False)
    passphrase: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a download is to hold. A key leaves only encrypted under `passphrase`."""

    leaf: bool = True
    chain: bool = True
    key: bool = False
    form: Format = Format.PEM
    passphrase: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportResult:
    """What came of an import: each entry, and whether it is a new one; `left_out` are findings about what was not taken.

    `consequences` are what followed for nodes and clients.
    """

    tls: Sequence[tuple[CertificateRecord, bool]]
    trusted_cas: Sequence[tuple[TrustedCaRecord, bool]]
    left_out: Sequence[PkiError] = ()
    consequences: Sequence[Consequence] = ()


def slot_name(text: str) -> Slot:
    """Check a slot's name. Raises InvalidInputError."""
    for slot in SLOTS:
        if text == slot:
            return slot
    raise InvalidInputError("slot", f"'{text[:40]}' is not a slot; a node has {' and '.join(SLOTS)}")


def new_certificate(material: TlsMaterial, *, temporary: bool = False) -> NewCertificate:
    """Return what the store keeps of a certificate that was read or made."""
    leaf = material.leaf
    return NewCertificate(
        text=material.certificate_text,
        leaf_pem=leaf.pem,
        chain_pem="".join(each.pem for each in (*material.chain, *material.kept)),
        parameters_pem=material.parameters_pem,
        parameters_text=material.parameters_text,
        private_key_pem=material.private_key_pem,
        fingerprint=leaf.fingerprint,
        subject_name=leaf.subject_name,
        issuer_name=leaf.issuer_name,
        raw_subject=leaf.raw_subject,
        raw_issuer=leaf.raw_issuer,
        issuer_id=issuer_of(leaf),
        serial_no=leaf.serial_no,
        public_key_id=key_of(leaf),
        subject_alt_names=leaf.subject_alt_names,
        not_before_s=leaf.not_before_s,
        not_after_s=leaf.not_after_s,
        self_signed=leaf.is_self_signed,
        temporary=temporary,
    )


class CertificateOperations:
    """See the module."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def upload(
        self, upload: Upload, *, confirm: str | None = None, replaces: bool = False, actor: str
    ) -> Uploaded:
        """Read, keep and assign a certificate.

        An entry of the same issuer and serial number with another key is only replaced if `replaces` says so, or `confirm` does
        (`manager.usecases.confirming`). Raises PkiFindingsError (every finding), InvalidInputError, NotFoundError,
        IdentityConflictError, ConfirmationNeededError; then nothing was kept.
        """
        where, chosen = list(upload.nodes), upload.slot
        for name in where:
            await self._context.store.nodes.get(name)
        material = await self._context.workers.run(READ_TIMEOUT_S, read_upload, upload)
        now_s = self._context.clock()
        async with self._context.deciding() as inventory:
            foreseen = await asyncio.to_thread(foresee_kept, inventory, material, where, chosen, now_s=now_s)
            foreseen.settle(confirm, replaces=replaces)
            record, created = await self._context.store.certificates.add(
                new_certificate(foreseen.materials[0]),
                nodes=where,
                slot=chosen,
                replaced=foreseen.replaced(confirm, replaces=replaces),
                now_s=now_s,
            )
            concerned = await self._note_kept(record, created=created, actor=actor)
        _log_kept(record, created=created, count=len(concerned), actor=actor)
        self._context.changed({each.node for each in concerned}, cause=f"certificate {record.id} uploaded")
        return Uploaded(record=record, created=created, consequences=foreseen.consequences)

    async def import_files(
        self,
        files: Sequence[ImportFile],
        *,
        passphrase: str | None,
        skip_unusable: bool = False,
        confirm: str | None = None,
        actor: str,
    ) -> ImportResult:
        """Sort a batch of files into TLS certificates and trusted CAs, and keep all of it; or what is usable of it.

        A certificate without its key updates the entry that has it, or is kept beside it with the same key. A batch never replaces a
        private key by another. Raises PkiFindingsError (every finding, with its file), IdentityConflictError, ConfirmationNeededError;
        then nothing was kept.
        """
        inventory = await self._context.inventories.current()
        batch = await self._context.workers.run(
            READ_TIMEOUT_S,
            read_batch,
            files,
            passphrase=passphrase,
            stored_keys={key_of(entry.leaf) for entry in inventory.entries.values()},
            skip_unusable=skip_unusable,
        )
        with_keys = [await self._with_stored_key(material, inventory) for material in batch.without_key]
        trusted_cas = [new_trusted_ca(certificate) for certificate in batch.trusted_cas]
        now_s, left_out = self._context.clock(), list(batch.left_out)
        async with self._context.deciding() as inventory:
            tls = [*batch.tls, *with_keys]
            if skip_unusable:
                clashing = other_keys(inventory, tls)
                left_out += [PkiError(message, reason=Reason.CONFLICT) for _, message in clashing]
                tls = [each for each in tls if all(each is not other for other, _ in clashing)]
                raise_findings(left_out if not (tls or trusted_cas) else ())
            foreseen = await asyncio.to_thread(
                foresee_imported, inventory, tls, batch.trusted_cas, now_s=now_s
            )
            foreseen.settle(confirm)
            kept = await self._context.store.catalogue.keep(
                [new_certificate(material) for material in foreseen.materials], trusted_cas, now_s=now_s
            )
            nodes = [
                await self._note_kept(record, created=created, actor=actor) for record, created in kept.tls
            ]
            if kept.trusted_cas:
                names = [record.subject_name for record, _ in kept.trusted_cas]
                await self._context.note(actor, "trusted_ca.uploaded", "trusted CAs", {"subjects": names})
        for (record, created), places in zip(kept.tls, nodes, strict=True):
            _log_kept(record, created=created, count=len(places), actor=actor)
        if kept.trusted_cas:
            log.info("trust.changed", count=len(kept.trusted_cas), user=actor, cause="imported")
        concerned = {each.node for places in nodes for each in places}
        self._context.changed(None if kept.trusted_cas else concerned, cause="files imported")
        return ImportResult(
            tls=kept.tls,
            trusted_cas=kept.trusted_cas,
            left_out=left_out,
            consequences=foreseen.consequences,
        )

    async def _with_stored_key(self, material: TlsMaterial, inventory: Inventory) -> TlsMaterial:
        """Give a certificate the key that is kept for the entry that it updates, or for another of the same key."""
        mine = key_of(material.leaf)
        candidates = (*inventory.namesakes(material.leaf), *inventory.entries.values())
        entry = next(each for each in candidates if key_of(each.leaf) == mine)
        key = await self._context.store.certificates.private_key(entry.id)
        return replace(material, private_key_pem=key)

    async def list(self, query: Query) -> tuple[int, Sequence[ListedCertificate]]:
        """Return how many certificates a query finds, and those of its page."""
        inventory, now_s = await self._context.inventories.current(), int(self._context.clock())
        # some orders judge every certificate there is
        return await asyncio.to_thread(_list, inventory, query, now_s)

    async def show(self, certificate_id: int) -> ShownCertificate:
        """Return one, with all that is to be said about it. Raises NotFoundError."""
        record = await self._context.store.certificates.get(certificate_id)
        inventory = await self._context.inventories.current()
        entry = inventory.entries.get(certificate_id)
        if entry is None:
            raise NotFoundError(f"certificate {certificate_id} was deleted a moment ago")
        return await asyncio.to_thread(_show, inventory, entry, record, int(self._context.clock()))

    async def records(self, certificate_ids: Collection[int]) -> Sequence[CertificateRecord]:
        """Return what is kept of those of these that there are."""
        return await self._context.store.certificates.list(certificate_ids)

    async def editable(self, certificate_id: int) -> EditableCertificate:
        """Return what can be changed of one. Raises NotFoundError."""
        store = self._context.store.certificates
        return EditableCertificate(
            record=await store.get(certificate_id), places=await store.nodes_of(certificate_id)
        )

    async def by_node(self) -> Sequence[tuple[NodeName, Slot, ListedCertificate | None]]:
        """Return what each node's slots have: every node's server slot, and client slots that have something."""
        inventory, now_s = await self._context.inventories.current(), int(self._context.clock())
        return await asyncio.to_thread(_by_node, inventory, now_s)

    async def edit(
        self,
        certificate_id: int,
        *,
        certificate: str | None = None,
        parameters: str | None = None,
        key: NewKey | None = None,
        passphrase: str | None = None,
        nodes: Sequence[NodeName] | None = None,
        slot: Slot,
        seen: str | None = None,
        confirm: str | None = None,
        completes: bool = False,
        actor: str,
    ) -> Sequence[Consequence]:
        """Change an entry's certificate, its parameters, and the nodes that have it in a slot; None leaves each as it is.

        The private key stays, and the certificate must pair with it, unless `key` comes along, which only the management
        API's contract allows; `passphrase` opens a PKCS#12 file in `certificate`. A certificate replaces all that there was, unless `completes` lets stay what its
        chain needs, for who cannot confirm. `seen` is the tag that the change was begun with (`manager.domain.etag`); what follows from the
        change is returned, and `confirm` as in `manager.usecases.confirming`. Raises PkiFindingsError, InvalidInputError, NotFoundError,
        ConflictError, ChangedMeanwhileError, ConfirmationNeededError; then nothing was changed.
        """
        store, where = self._context.store, None if nodes is None else list(nodes)
        record = await store.certificates.get(certificate_id)
        material = None
        if certificate is not None or parameters is not None or key is not None:
            material = await self._edited(
                record, certificate=certificate, parameters=parameters, key=key, passphrase=passphrase
            )
        rest = Rest.AS_NEEDED if completes else Rest.GOES
        if certificate is None or certificate == record.text:
            rest = Rest.STAYS
        detail = {
            "certificate": certificate is not None,
            "parameters": parameters is not None,
            "private_key": key is not None,
            "nodes": where,
        }
        now_s = self._context.clock()
        async with self._context.deciding() as inventory:
            before = await store.certificates.nodes_of(certificate_id)
            await store.certificates.check_seen(certificate_id, seen)
            now = await store.certificates.get(certificate_id)
            # what was read above, and with which key, was decided by that
            if replace(now, changed_s=record.changed_s) != record:
                raise ChangedMeanwhileError(
                    f"certificate {certificate_id} was changed meanwhile; look at it again"
                )
            foreseen = await asyncio.to_thread(
                foresee_edited, inventory, certificate_id, material, where, slot, rest=rest, now_s=now_s
            )
            foreseen.settle(confirm)
            new = None
            for whole in foreseen.materials:
                new = new_certificate(whole, temporary=record.temporary and whole.leaf.is_self_signed)
            await store.certificates.update(certificate_id, new, nodes=where, slot=slot, now_s=now_s)
            after = await store.certificates.nodes_of(certificate_id)
            await self._context.note(actor, "certificate.updated", f"certificate {certificate_id}", detail)
        concerned = {each.node for each in (*before, *after)}
        log.info("certificate.updated", certificate=certificate_id, user=actor, count=len(concerned))
        self._context.changed(concerned, cause=f"certificate {certificate_id} edited")
        return foreseen.consequences

    async def assign(
        self,
        certificate_id: int,
        *,
        nodes: Sequence[NodeName] | None,
        slot: Slot,
        seen: Mapping[NodeName, int | None] = MappingProxyType({}),
        confirm: str | None = None,
        actor: str,
    ) -> Assigned:
        """Put a certificate into a slot of these nodes (None: of all).

        `seen` is what those slots had when the change was begun; `confirm` as in `manager.usecases.confirming`. Raises NotFoundError,
        ChangedMeanwhileError, ConfirmationNeededError.
        """
        if nodes is None:
            where = [
                record.name for record in await self._context.store.nodes.list() if record.kind == "node"
            ]
        else:
            where = list(nodes)
        now_s = self._context.clock()
        async with self._context.deciding() as inventory:
            # what was not found is named by the store, and undoes this
            await self._context.store.assignments.check_seen(slot, seen)
            foreseen = await asyncio.to_thread(
                foresee_assigned, inventory, certificate_id, where, slot, now_s=now_s
            )
            foreseen.settle(confirm)
            await self._context.store.assignments.assign(certificate_id, where, slot)
            detail = {"nodes": where, "slot": slot}
            await self._context.note(actor, "certificate.assigned", f"certificate {certificate_id}", detail)
        log.info("certificate.assigned", certificate=certificate_id, slot=slot, count=len(where), user=actor)
        self._context.changed(where, cause=f"certificate {certificate_id} assigned")
        return Assigned(nodes=where, consequences=foreseen.consequences)

    async def unassign(
        self,
        node: NodeName,
        slot: Slot,
        *,
        seen: Mapping[NodeName, int | None] = MappingProxyType({}),
        confirm: str | None = None,
        actor: str,
    ) -> None:
        """Empty a slot. A node keeps serving what it has until another certificate is assigned; the rest as for `assign`."""
        await self._context.store.nodes.get(node)
        async with self._context.deciding() as inventory:
            foreseen = await asyncio.to_thread(foresee_emptied, inventory, node, slot)
            foreseen.settle(confirm)
            was_full = await self._context.store.assignments.unassign(node, slot, seen=seen)
            if was_full:
                await self._context.note(actor, "certificate.unassigned", f"node {node}", {"slot": slot})
        if was_full:
            self._context.changed([node], cause=f"{slot} slot emptied")

    async def download(self, certificate_ids: Sequence[int], wanted: Wanted, *, actor: str) -> Download:
        """Return one file with these certificates.

        Raises NotFoundError; PkiError for a temporary certificate; InvalidInputError for a missing passphrase.
        """
        inventory, now_s = await self._context.inventories.current(), int(self._context.clock())
        numbers = list(dict.fromkeys(certificate_ids))
        if missing := [number for number in numbers if number not in inventory.entries]:
            raise NotFoundError(f"there is no certificate {missing[0]}", hint=Hint.LIST_CERTIFICATES)
        for number in numbers:
            if inventory.entries[number].leaf.is_self_signed:
                raise PkiError(
                    f"certificate {number} is temporary (self-signed) and cannot be downloaded",
                    reason=Reason.UNSUPPORTED,
                )
        materials = await self._context.store.certificates.slot_material(numbers) if wanted.key else {}
        items = await asyncio.to_thread(_export_items, inventory, numbers, wanted, materials, now_s)
        made = await self._context.workers.run(
            EXPORT_TIMEOUT_S, export, items, wanted.form, passphrase=wanted.passphrase
        )
        if wanted.key:
            detail = {"certificates": numbers, "form": wanted.form}
            await self._context.note(actor, "key.exported", made.name, detail)
            log.info("key.exported", count=len(numbers), user=actor)
        return made

    async def delete(
        self, certificate_ids: Sequence[int], *, force: bool, confirm: str | None = None, actor: str
    ) -> Sequence[AssignmentRecord]:
        """Remove all of these certificates or none; return the assignments that went with them.

        Raises ConfirmationNeededError naming the nodes that would lose theirs, unless forced or confirmed (and with a `confirm` of ""
        also the private keys that would be gone); NotFoundError.
        """
        nodes: dict[int, list[NodeName]] = {number: [] for number in certificate_ids}
        async with self._context.deciding() as inventory:
            foreseen = await asyncio.to_thread(foresee_deleted, inventory, certificate_ids)
            if not force:
                # without a token nothing but an assignment stands in the way, as programs know it
                is_used = any(each.code == ConsequenceCode.NODES_LEFT for each in foreseen.consequences)
                foreseen.settle("" if confirm is None and is_used else confirm)
            lost = await self._context.store.certificates.delete(certificate_ids, even_assigned=True)
            for each in lost:
                nodes[each.certificate_id].append(each.node)
            for number, names in nodes.items():
                detail = {"nodes": sorted(names)}
                await self._context.note(actor, "certificate.deleted", f"certificate {number}", detail)
        for number, names in nodes.items():
            log.info("certificate.deleted", certificate=number, user=actor, count=len(names))
        self._context.changed({each.node for each in lost}, cause="certificates deleted")
        return lost

    async def _edited(
        self,
        record: CertificateRecord,
        *,
        certificate: str | None,
        parameters: str | None,
        key: NewKey | None,
        passphrase: str | None,
    ) -> TlsMaterial:
        """Read an edit. Raises PkiFindingsError."""
        text = record.text if certificate is None else certificate
        # parameters in the text speak for themselves; those beside it stay unless others are given
        beside = record.parameters_text if parameters is None else parameters
        if key is None:
            return await self._context.workers.run(
                READ_TIMEOUT_S,
                read_for_key,
                certificate=text,
                private_key=await self._context.store.certificates.private_key(record.id),
                parameters=beside,
                passphrase=passphrase,
                owner="this entry's private key, which cannot be changed",
            )
        return await self._context.workers.run(
            READ_TIMEOUT_S,
            read_tls,
            certificate=text,
            private_key=key.pem,
            passphrase=key.passphrase,
            parameters=beside,
        )

    async def _note_kept(
        self, record: CertificateRecord, *, created: bool, actor: str
    ) -> Sequence[AssignmentRecord]:
        """Note that a certificate was kept; return where it is now."""
        nodes = await self._context.store.certificates.nodes_of(record.id)
        detail = {"fingerprint": record.fingerprint, "nodes": [each.node for each in nodes]}
        await self._context.note(actor, _kept(created=created), f"certificate {record.id}", detail)
        return nodes


def _list(inventory: Inventory, query: Query, now_s: int) -> tuple[int, Sequence[ListedCertificate]]:
    page = list_page(inventory, query, now_s=now_s)
    return page.total, [_listed(inventory, entry, now_s) for entry in page.entries]


def _listed(inventory: Inventory, entry: Entry, now_s: int) -> ListedCertificate:
    return ListedCertificate(
        entry=entry,
        statuses=inventory.statuses(entry.id, now_s=now_s),
        chain_state=inventory.chain(entry.id, now_s=now_s).state,
        findings=inventory.findings(entry.id, now_s=now_s),
    )


def _show(inventory: Inventory, entry: Entry, record: CertificateRecord, now_s: int) -> ShownCertificate:
    return ShownCertificate(
        entry=entry,
        record=record,
        judgement=inventory.judge(entry.id, now_s=now_s),
        text=text_form(entry.leaf),
    )


def _by_node(inventory: Inventory, now_s: int) -> Sequence[tuple[NodeName, Slot, ListedCertificate | None]]:
    found: list[tuple[NodeName, Slot, ListedCertificate | None]] = []
    for name in inventory.nodes:
        for slot in SLOTS:
            number = inventory.slots.get((name, slot))
            if number is not None:
                found.append((name, slot, _listed(inventory, inventory.entries[number], now_s)))
            elif slot == "server":
                found.append((name, slot, None))
    return found


def _export_items(
    inventory: Inventory,
    numbers: Sequence[int],
    wanted: Wanted,
    materials: Mapping[int, SlotMaterial],
    now_s: int,
) -> list[ExportItem]:
    return [
        ExportItem(
            leaf=inventory.entries[number].leaf,
            chain=inventory.chain(number, now_s=now_s).serving if wanted.chain else (),
            private_key_pem=materials[number].private_key_pem if number in materials else None,
            include_leaf=wanted.leaf,
        )
        for number in numbers
    ]


def _kept(*, created: bool) -> str:
    return "certificate.uploaded" if created else "certificate.updated"


def _log_kept(record: CertificateRecord, *, created: bool, count: int, actor: str) -> None:
    log.info(_kept(created=created), certificate=record.id, leaf=record.fingerprint, user=actor, count=count)
