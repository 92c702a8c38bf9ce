"""Uploading, importing, viewing, editing, assigning, downloading and deleting TLS certificates."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import structlog

from common.bundle.manifest import SLOTS, Slot
from common.errors import InvalidInputError, NotFoundError, PkiError, Reason
from common.ids import NodeName, node_name
from common.pki.batch import ImportFile, identity_of, read_batch
from common.pki.chain import ChainState
from common.pki.export import Download, ExportItem, Format, export
from common.pki.finding import Finding
from common.pki.headline import Headline, headline
from common.pki.identity import issuer_of, key_of
from common.pki.material import TlsMaterial
from common.pki.status import Status
from common.pki.text import text_form
from common.pki.upload import read_for_key, read_tls
from manager.domain.inventory import Entry, Inventory, Judgement
from manager.domain.listing import Page, Query, list_page
from manager.domain.model import AssignmentRecord, CertificateRecord, TrustedCaRecord
from manager.operations.context import Context
from manager.operations.trust import new_trusted_ca
from manager.operations.workers import READ_TIMEOUT_S
from manager.store.records import NewCertificate

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
    """What came of an import: each entry, and whether it is a new one; `left_out` are findings about what was not taken."""

    tls: Sequence[tuple[CertificateRecord, bool]]
    trusted_cas: Sequence[tuple[TrustedCaRecord, bool]]
    left_out: Sequence[PkiError] = ()


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
        chain_pem="".join(each.pem for each in material.chain),
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
        self,
        *,
        certificate: str,
        private_key: str,
        passphrase: str | None,
        parameters: str,
        nodes: Sequence[str],
        slot: str,
        actor: str,
    ) -> tuple[CertificateRecord, bool]:
        """Read, keep and assign a certificate; return it, and whether it is a new entry.

        Raises PkiFindingsError (every finding), InvalidInputError, NotFoundError; then nothing was kept.
        """
        chosen, where = slot_name(slot), [node_name(name) for name in nodes]
        for name in where:
            await self._context.store.nodes.get(name)
        material = await self._context.workers.run(
            READ_TIMEOUT_S,
            read_tls,
            certificate=certificate,
            private_key=private_key,
            passphrase=passphrase,
            parameters=parameters,
        )
        async with self._context.store.together():
            record, created = await self._context.store.certificates.add(
                new_certificate(material), nodes=where, slot=chosen, now_s=self._context.clock()
            )
            concerned = await self._note_kept(record, created=created, actor=actor)
        _log_kept(record, created=created, count=len(concerned), actor=actor)
        self._context.changed({each.node for each in concerned}, cause=f"certificate {record.id} uploaded")
        return record, created

    async def import_files(
        self,
        files: Sequence[ImportFile],
        *,
        passphrase: str | None,
        skip_unusable: bool = False,
        actor: str,
    ) -> ImportResult:
        """Sort a batch of files into TLS certificates and trusted CAs, and keep all of it; or what is usable of it.

        A certificate without its key updates the entry that has it. Raises PkiFindingsError (every finding, with its file); then
        nothing was kept.
        """
        inventory = await self._context.inventories.current()
        batch = await self._context.workers.run(
            READ_TIMEOUT_S,
            read_batch,
            files,
            passphrase=passphrase,
            stored={identity_of(entry.leaf) for entry in inventory.entries.values()},
            skip_unusable=skip_unusable,
        )
        with_keys = [await self._with_stored_key(material, inventory) for material in batch.without_key]
        tls = [new_certificate(material) for material in (*batch.tls, *with_keys)]
        trusted_cas = [new_trusted_ca(certificate) for certificate in batch.trusted_cas]
        async with self._context.store.together():
            kept = await self._context.store.catalogue.keep(tls, trusted_cas, now_s=self._context.clock())
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
        return ImportResult(tls=kept.tls, trusted_cas=kept.trusted_cas, left_out=batch.left_out)

    async def _with_stored_key(self, material: TlsMaterial, inventory: Inventory) -> TlsMaterial:
        """Give a certificate the key of the entry that it updates."""
        own = identity_of(material.leaf)
        entry = next(each for each in inventory.namesakes(material.leaf) if identity_of(each.leaf) == own)
        key = await self._context.store.certificates.private_key(entry.id)
        return replace(material, private_key_pem=key)

    async def list(self, query: Query) -> tuple[int, Sequence[ListedCertificate]]:
        """Return how many certificates a query finds, and those of its page."""
        inventory, now_s = await self._context.inventories.current(), int(self._context.clock())
        page: Page = list_page(inventory, query, now_s=now_s)
        return page.total, [self._listed(inventory, entry, now_s) for entry in page.entries]

    async def show(self, certificate_id: int) -> ShownCertificate:
        """Return one, with all that is to be said about it. Raises NotFoundError."""
        record = await self._context.store.certificates.get(certificate_id)
        inventory = await self._context.inventories.current()
        entry = inventory.entries.get(certificate_id)
        if entry is None:
            raise NotFoundError(f"certificate {certificate_id} was deleted a moment ago")
        return ShownCertificate(
            entry=entry,
            record=record,
            judgement=inventory.judge(certificate_id, now_s=int(self._context.clock())),
            text=text_form(entry.leaf),
        )

    async def by_node(self) -> Sequence[tuple[NodeName, Slot, ListedCertificate | None]]:
        """Return what each node's slots have: every node's server slot, and client slots that have something."""
        inventory, now_s = await self._context.inventories.current(), int(self._context.clock())
        found: list[tuple[NodeName, Slot, ListedCertificate | None]] = []
        for name in inventory.nodes:
            for slot in SLOTS:
                number = inventory.slots.get((name, slot))
                if number is not None:
                    found.append((name, slot, self._listed(inventory, inventory.entries[number], now_s)))
                elif slot == "server":
                    found.append((name, slot, None))
        return found

    async def edit(
        self,
        certificate_id: int,
        *,
        certificate: str | None = None,
        parameters: str | None = None,
        key: NewKey | None = None,
        nodes: Sequence[str] | None = None,
        slot: str,
        seen: str | None = None,
        actor: str,
    ) -> None:
        """Change an entry's certificate, its parameters, and the nodes that have it in a slot; None leaves each as it is.

        The private key stays, and the certificate must pair with it, unless `key` comes along, which only the management
        API's contract allows. `seen` is the version that the change was begun with (`manager.domain.version`). Raises
        PkiFindingsError, InvalidInputError, NotFoundError, ConflictError, ChangedMeanwhileError; then nothing was changed.
        """
        store, chosen = self._context.store, slot_name(slot)
        where = None if nodes is None else [node_name(name) for name in nodes]
        record = await store.certificates.get(certificate_id)
        new = None
        if certificate is not None or parameters is not None or key is not None:
            new = await self._edited(record, certificate=certificate, parameters=parameters, key=key)
        detail = {
            "certificate": certificate is not None,
            "parameters": parameters is not None,
            "private_key": key is not None,
            "nodes": where,
        }
        async with store.together():
            before = await store.certificates.nodes_of(certificate_id)
            await store.certificates.update(
                certificate_id, new, nodes=where, slot=chosen, seen=seen, now_s=self._context.clock()
            )
            after = await store.certificates.nodes_of(certificate_id)
            await self._context.note(actor, "certificate.edited", f"certificate {certificate_id}", detail)
        concerned = {each.node for each in (*before, *after)}
        log.info("certificate.updated", certificate=certificate_id, user=actor, count=len(concerned))
        self._context.changed(concerned, cause=f"certificate {certificate_id} edited")

    async def assign(
        self,
        certificate_id: int,
        *,
        nodes: Sequence[str] | None,
        slot: str,
        seen: Mapping[NodeName, int | None] = MappingProxyType({}),
        actor: str,
    ) -> Sequence[NodeName]:
        """Put a certificate into a slot of these nodes (None: of all); return them.

        `seen` is what those slots had when the change was begun. Raises NotFoundError, ChangedMeanwhileError.
        """
        chosen = slot_name(slot)
        if nodes is None:
            where = [
                record.name for record in await self._context.store.nodes.list() if record.kind == "node"
            ]
        else:
            where = [node_name(name) for name in nodes]
        async with self._context.store.together():
            await self._context.store.assignments.assign(certificate_id, where, chosen, seen=seen)
            detail = {"nodes": where, "slot": chosen}
            await self._context.note(actor, "certificate.assigned", f"certificate {certificate_id}", detail)
        log.info(
            "certificate.assigned", certificate=certificate_id, slot=chosen, count=len(where), user=actor
        )
        self._context.changed(where, cause=f"certificate {certificate_id} assigned")
        return where

    async def unassign(
        self,
        node: str,
        slot: str,
        *,
        seen: Mapping[NodeName, int | None] = MappingProxyType({}),
        actor: str,
    ) -> None:
        """Empty a slot. A node keeps serving what it has until another certificate is assigned; `seen` as for `assign`."""
        name, chosen = node_name(node), slot_name(slot)
        await self._context.store.nodes.get(name)
        async with self._context.store.together():
            was_full = await self._context.store.assignments.unassign(name, chosen, seen=seen)
            if was_full:
                await self._context.note(actor, "certificate.unassigned", f"node {name}", {"slot": chosen})
        if was_full:
            self._context.changed([name], cause=f"{chosen} slot emptied")

    async def download(self, certificate_ids: Sequence[int], wanted: Wanted, *, actor: str) -> Download:
        """Return one file with these certificates.

        Raises NotFoundError; PkiError for a temporary certificate; InvalidInputError for a missing passphrase.
        """
        inventory, now_s = await self._context.inventories.current(), int(self._context.clock())
        numbers = list(dict.fromkeys(certificate_ids))
        if missing := [number for number in numbers if number not in inventory.entries]:
            raise NotFoundError(
                f"there is no certificate {missing[0]}; 'certcast certificate list' shows those there are"
            )
        for number in numbers:
            if inventory.entries[number].leaf.is_self_signed:
                raise PkiError(
                    f"certificate {number} is temporary (self-signed) and cannot be downloaded",
                    reason=Reason.UNSUPPORTED,
                )
        materials = await self._context.store.certificates.slot_material(numbers) if wanted.key else {}
        items = [
            ExportItem(
                leaf=inventory.entries[number].leaf,
                chain=inventory.chain(number, now_s=now_s).serving if wanted.chain else (),
                private_key_pem=materials[number].private_key_pem if number in materials else None,
                include_leaf=wanted.leaf,
            )
            for number in numbers
        ]
        made = await self._context.workers.run(
            READ_TIMEOUT_S, export, items, wanted.form, passphrase=wanted.passphrase
        )
        if wanted.key:
            detail = {"certificates": numbers, "form": wanted.form}
            await self._context.note(actor, "key.exported", made.name, detail)
            log.info("key.exported", count=len(numbers), user=actor)
        return made

    async def delete(
        self, certificate_ids: Sequence[int], *, force: bool, actor: str
    ) -> Sequence[AssignmentRecord]:
        """Remove all of these certificates or none; return the assignments that went with them.

        Raises ConflictError naming the nodes that would lose theirs, unless forced; NotFoundError.
        """
        nodes: dict[int, list[NodeName]] = {number: [] for number in certificate_ids}
        async with self._context.store.together():
            lost = await self._context.store.certificates.delete(certificate_ids, even_assigned=force)
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
    ) -> NewCertificate:
        """Read an edit. Raises PkiFindingsError."""
        text = record.text if certificate is None else certificate
        # parameters in the text speak for themselves; those beside it stay unless others are given
        beside = record.parameters_text if parameters is None else parameters
        if key is None:
            material = await self._context.workers.run(
                READ_TIMEOUT_S,
                read_for_key,
                certificate=text,
                private_key=await self._context.store.certificates.private_key(record.id),
                parameters=beside,
                owner="this entry's private key, which cannot be changed",
            )
        else:
            material = await self._context.workers.run(
                READ_TIMEOUT_S,
                read_tls,
                certificate=text,
                private_key=key.pem,
                passphrase=key.passphrase,
                parameters=beside,
            )
        temporary = record.temporary and material.leaf.is_self_signed
        return new_certificate(material, temporary=temporary)

    async def _note_kept(
        self, record: CertificateRecord, *, created: bool, actor: str
    ) -> Sequence[AssignmentRecord]:
        """Note that a certificate was kept; return where it is now."""
        nodes = await self._context.store.certificates.nodes_of(record.id)
        detail = {"fingerprint": record.fingerprint, "nodes": [each.node for each in nodes]}
        await self._context.note(actor, _kept(created=created), f"certificate {record.id}", detail)
        return nodes

    def _listed(self, inventory: Inventory, entry: Entry, now_s: int) -> ListedCertificate:
        return ListedCertificate(
            entry=entry,
            statuses=inventory.statuses(entry.id, now_s=now_s),
            chain_state=inventory.chain(entry.id, now_s=now_s).state,
            findings=inventory.findings(entry.id, now_s=now_s),
        )


def _kept(*, created: bool) -> str:
    return "certificate.uploaded" if created else "certificate.updated"


def _log_kept(record: CertificateRecord, *, created: bool, count: int, actor: str) -> None:
    log.info(_kept(created=created), certificate=record.id, leaf=record.fingerprint, user=actor, count=count)
