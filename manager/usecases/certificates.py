"""TLS certificates: uploading, importing, viewing, editing and deleting them.

Defines the order of each use case: read in a worker, assess, confirm, write in one transaction with the audit
entry, and tell the fleet.
"""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import structlog

from common.errors import ChangedMeanwhileError, NotFoundError, PkiError, Reason
from common.ids import CertificateId, NodeName
from common.runtime.long_loops import by_turns
from manager.domain.annotations import NO_ANNOTATIONS
from manager.domain.certificate_list import CertificateQuery
from manager.domain.consequences import ConsequenceCode
from manager.domain.inventory import Inventory
from manager.domain.model import AssignmentRecord, CertificateRecord
from manager.pki.judge.identity import key_of
from manager.pki.read.batch import CertificateBatch, ImportFile
from manager.pki.read.findings import raise_findings
from manager.pki.read.material import TlsMaterial
from manager.usecases.certificate_changes import Edited, ImportResult, Uploaded
from manager.usecases.certificate_views import (
    EditableCertificate,
    ListedCertificate,
    ShownCertificate,
    list_certificates,
    show_certificate,
)
from manager.usecases.confirming import (
    assess_deletion,
    assess_edit,
    assess_import,
    assess_kept,
    other_keys,
)
from manager.usecases.context import Context
from manager.usecases.kept import new_certificate, new_trusted_ca
from manager.usecases.material_checks import read_batch, read_for_key, read_tls
from manager.usecases.trust_views import trust_warnings
from manager.usecases.uploads import Edit, Upload, read_upload
from manager.usecases.workers import READ_TIMEOUT_S

log = structlog.get_logger(__name__)


class CertificateUseCases:
    def __init__(self, context: Context) -> None:
        self._context = context

    async def upload(
        self, upload: Upload, *, confirm: str | None = None, replaces: bool = False, actor: str
    ) -> Uploaded:
        """Read, store and assign a certificate.

        An entry with the same issuer and serial number but another key is replaced only if `replaces` or
        `confirm` allows it (`manager.usecases.confirming`). Raises PkiFindingsError (with every finding),
        InvalidInputError, NotFoundError, IdentityConflictError or ConfirmationNeededError; nothing is stored
        then.
        """
        where, chosen = list(upload.nodes), upload.slot
        # an empty form field removes nothing from the entry that is updated
        annotations = upload.annotations.checked().differing(NO_ANNOTATIONS)
        await self._context.store.nodes.require(where)
        material = await self._context.workers.run(READ_TIMEOUT_S, read_upload, upload)
        now_s = self._context.clock()
        async with self._context.deciding() as inventory:
            impact = await asyncio.to_thread(assess_kept, inventory, material, where, chosen, now_s=now_s)
            impact.require_confirmation(confirm, replaces=replaces)
            record, created = await self._context.store.certificates.add(
                new_certificate(impact.materials[0]),
                nodes=where,
                slot=chosen,
                replaced=impact.replaced(confirm, replaces=replaces),
                annotations=annotations,
                now_s=now_s,
            )
            noted = {**impact.noted, **annotations.given()}
            concerned = await self._note_kept(record, noted, created=created, actor=actor)
            then = await self._context.inventories.changed(inventory)
        _log_kept(record, created=created, count=len(concerned), actor=actor)
        self._context.changed({each.node for each in concerned}, cause=f"certificate {record.id} uploaded")
        return Uploaded(record=record, created=created, consequences=impact.consequences, inventory=then)

    async def import_files(
        self,
        files: Sequence[ImportFile],
        *,
        passphrase: str | None,
        skip_unusable: bool = False,
        peers: bool = False,
        confirm: str | None = None,
        actor: str,
    ) -> ImportResult:
        """Sort a batch of files into TLS certificates and trusted CAs; store all of them, or the usable ones.

        A certificate without a key updates its existing entry, or is added next to an entry with the same
        key. A batch never replaces one private key with another. With `peers`, the files are uploaded as
        trusted certificates (`manager.pki.read.batch`). Raises PkiFindingsError (every finding, with its
        file), IdentityConflictError or ConfirmationNeededError; nothing is stored then.
        """
        batch = await self._read(files, passphrase, skip_unusable=skip_unusable, peers=peers)
        trusted_cas = [new_trusted_ca(certificate) for certificate in batch.trusted_cas]
        now_s, left_out = self._context.clock(), list(batch.left_out)
        async with self._context.deciding() as inventory:
            tls = list(batch.tls)
            if skip_unusable:
                clashing = other_keys(inventory, tls)
                left_out += [PkiError(message, reason=Reason.CONFLICT) for _, message in clashing]
                tls = [each for each in tls if all(each is not other for other, _ in clashing)]
                raise_findings(left_out if not (tls or trusted_cas) else ())
            impact = await asyncio.to_thread(assess_import, inventory, tls, batch.trusted_cas, now_s=now_s)
            impact.require_confirmation(confirm)
            kept = await self._context.store.catalogue.keep(
                [new_certificate(material) for material in impact.materials], trusted_cas, now_s=now_s
            )
            nodes = [
                await self._note_kept(record, noted, created=created, actor=actor)
                for (record, created), noted in zip(kept.tls, impact.noted_each, strict=True)
            ]
            if kept.trusted_cas:
                names = [record.display_name for record, _ in kept.trusted_cas]
                await self._context.audit(actor, "trusted_ca.uploaded", "trusted CAs", {"subjects": names})
            then = await self._context.inventories.changed(inventory)
        for (record, created), places in zip(kept.tls, nodes, strict=True):
            _log_kept(record, created=created, count=len(places), actor=actor)
        if kept.trusted_cas:
            log.info("trust.changed", count=len(kept.trusted_cas), user=actor, cause="imported")
        concerned = {each.node for places in nodes for each in places}
        self._context.changed(None if kept.trusted_cas else concerned, cause="files imported")
        added = {record.id for record, _ in kept.trusted_cas}
        return ImportResult(
            tls=kept.tls,
            trusted_cas=kept.trusted_cas,
            left_out=left_out,
            consequences=impact.consequences,
            warnings=await asyncio.to_thread(trust_warnings, then, added, now_s=int(now_s)) if added else (),
            inventory=then,
        )

    async def _read(
        self, files: Sequence[ImportFile], passphrase: str | None, *, skip_unusable: bool, peers: bool
    ) -> CertificateBatch:
        """Read a batch of files. A certificate without a key gets the stored one."""
        inventory = await self._context.inventories.current()
        batch = await self._context.workers.run(
            READ_TIMEOUT_S,
            read_batch,
            files,
            passphrase=passphrase,
            stored_keys={key_of(entry.leaf) for entry in inventory.entries.values()},
            trusted_keys={key_of(each) for each in inventory.trust.custom.values()},
            skip_unusable=skip_unusable,
            peers=peers,
        )
        with_keys = [await self._with_stored_key(material, inventory) for material in batch.without_key]
        return replace(batch, tls=(*batch.tls, *with_keys), without_key=())

    async def _with_stored_key(self, material: TlsMaterial, inventory: Inventory) -> TlsMaterial:
        """Give a certificate the stored key of the entry that it updates, or of another one with that key."""
        mine = key_of(material.leaf)
        candidates = (*inventory.namesakes(material.leaf), *inventory.entries.values())
        entry = next(each for each in candidates if key_of(each.leaf) == mine)
        key = await self._context.store.certificates.private_key(entry.id)
        return replace(material, private_key_pem=key)

    async def list(self, query: CertificateQuery) -> tuple[int, Sequence[ListedCertificate]]:
        """Return the number of certificates that match a query, and the requested page of them."""
        inventory, now_s = await self._context.inventories.current(), int(self._context.clock())
        # some sort orders judge every certificate
        return await asyncio.to_thread(list_certificates, inventory, query, now_s)

    async def show(self, certificate_id: CertificateId) -> ShownCertificate:
        """Return one certificate with everything there is to show about it. Raises NotFoundError."""
        record = await self._context.store.certificates.get(certificate_id)
        inventory = await self._context.inventories.current()
        if certificate_id not in inventory.entries:
            raise NotFoundError(f"certificate {certificate_id} was deleted a moment ago")
        return await self.describe(record, inventory)

    async def describe(self, record: CertificateRecord, inventory: Inventory) -> ShownCertificate:
        """Return everything there is to show about a certificate in an inventory.

        Reads nothing from the store, so a caller that changed the certificate sees the result of that very
        change.
        """
        entry, now_s = inventory.entries[record.id], int(self._context.clock())
        return await asyncio.to_thread(show_certificate, inventory, entry, record, now_s)

    async def records(self, certificate_ids: Collection[CertificateId]) -> Sequence[CertificateRecord]:
        """Return the records of these certificates; unknown ids are left out."""
        return await self._context.store.certificates.list(certificate_ids)

    async def editable(self, certificate_id: CertificateId) -> EditableCertificate:
        """Return the editable fields of one certificate. Raises NotFoundError."""
        store = self._context.store.certificates
        return EditableCertificate(
            record=await store.get(certificate_id), places=await store.nodes_of(certificate_id)
        )

    async def edit(
        self,
        certificate_id: CertificateId,
        edit: Edit,
        *,
        seen: str | None = None,
        confirm: str | None = None,
        actor: str,
    ) -> Edited:
        """Change an entry.

        `seen` is the tag of the version that the user edited (`manager.domain.etag`); `confirm` is explained
        in `manager.usecases.confirming`. Raises PkiFindingsError, InvalidInputError, NotFoundError,
        ConflictError, ChangedMeanwhileError or ConfirmationNeededError; nothing is changed then.
        """
        store, where = self._context.store, None if edit.nodes is None else list(edit.nodes)
        record = await store.certificates.get(certificate_id)
        annotations = edit.annotations.checked().differing(record.annotations)
        material = await self._edited(record, edit) if edit.changes_content else None
        detail = {
            "certificate": edit.certificate is not None,
            "parameters": edit.parameters is not None,
            "private_key": edit.key is not None,
            "nodes": where,
            **annotations.given(),
        }
        now_s, companions = self._context.clock(), edit.companion_policy(record.text)
        async with self._context.deciding() as inventory:
            before = await store.certificates.nodes_of(certificate_id)
            await store.certificates.check_seen(certificate_id, seen)
            _require_same(await store.certificates.get(certificate_id), record)
            impact = await asyncio.to_thread(
                assess_edit,
                inventory,
                certificate_id,
                material,
                where,
                edit.slot,
                companions=companions,
                now_s=now_s,
            )
            impact.require_confirmation(confirm)
            new = None
            for whole in impact.materials:
                new = new_certificate(whole, temporary=record.temporary and whole.leaf.is_self_signed)
            kept = await store.certificates.update(
                certificate_id, new, nodes=where, slot=edit.slot, annotations=annotations, now_s=now_s
            )
            after = await store.certificates.nodes_of(certificate_id)
            noted = {**detail, **impact.noted}
            await self._context.audit(actor, "certificate.updated", f"certificate {certificate_id}", noted)
            then = await self._context.inventories.changed(inventory)
        concerned = {each.node for each in (*before, *after)}
        log.info("certificate.updated", certificate=certificate_id, user=actor, count=len(concerned))
        self._context.changed(concerned, cause=f"certificate {certificate_id} edited")
        return Edited(record=kept, consequences=impact.consequences, inventory=then)

    async def delete(
        self, certificate_ids: Sequence[CertificateId], *, force: bool, confirm: str | None = None, actor: str
    ) -> Sequence[AssignmentRecord]:
        """Remove all of these certificates or none; return the assignments that were removed with them.

        Raises NotFoundError, and ConfirmationNeededError with the nodes that would lose a certificate, unless
        forced or confirmed. With a `confirm` of "" the error also lists the private keys that would be
        deleted.
        """
        nodes: dict[int, list[NodeName]] = {number: [] for number in certificate_ids}
        async with self._context.deciding() as inventory:
            impact = await asyncio.to_thread(assess_deletion, inventory, certificate_ids)
            if not force:
                # without a token only an assignment prevents the deletion; API clients rely on this
                is_used = any(each.code == ConsequenceCode.NODES_LEFT for each in impact.consequences)
                impact.require_confirmation("" if confirm is None and is_used else confirm)
            lost = await self._context.store.certificates.delete(certificate_ids, even_assigned=True)
            for each in lost:
                nodes[each.certificate_id].append(each.node)
            for number, names in nodes.items():
                detail = {"nodes": sorted(names)}
                await self._context.audit(actor, "certificate.deleted", f"certificate {number}", detail)
        self._context.changed({each.node for each in lost}, cause="certificates deleted")
        async for number in by_turns(nodes):
            log.info("certificate.deleted", certificate=number, user=actor, count=len(nodes[number]))
        return lost

    async def _edited(self, record: CertificateRecord, edit: Edit) -> TlsMaterial:
        """Read an edit. Raises PkiFindingsError."""
        text = record.text if edit.certificate is None else edit.certificate
        # parameters within the text win; stored ones stay unless new ones are given
        beside = record.parameters_text if edit.parameters is None else edit.parameters
        if edit.key is None:
            return await self._context.workers.run(
                READ_TIMEOUT_S,
                read_for_key,
                certificate=text,
                private_key=await self._context.store.certificates.private_key(record.id),
                parameters=beside,
                passphrase=edit.passphrase,
                owner="this entry's private key, which cannot be changed",
            )
        return await self._context.workers.run(
            READ_TIMEOUT_S,
            read_tls,
            certificate=text,
            private_key=edit.key.pem,
            passphrase=edit.key.passphrase,
            parameters=beside,
        )

    async def _note_kept(
        self, record: CertificateRecord, more: Mapping[str, object], *, created: bool, actor: str
    ) -> Sequence[AssignmentRecord]:
        """Write the audit entry for a stored certificate and its annotations; return its current assignments."""
        nodes = await self._context.store.certificates.nodes_of(record.id)
        detail = {"fingerprint": record.fingerprint, "nodes": [each.node for each in nodes], **more}
        await self._context.audit(actor, _kept(created=created), f"certificate {record.id}", detail)
        return nodes


def _require_same(now: CertificateRecord, read: CertificateRecord) -> None:
    """Check that an entry has not changed since an edit was read. Raises ChangedMeanwhileError.

    The entry's content and key decided how the edit was read. Its annotations did not, so they are not
    compared.
    """
    if replace(now, changed_s=read.changed_s, annotations=read.annotations) != read:
        raise ChangedMeanwhileError(f"certificate {read.id} was changed in the meantime; look at it again")


def _kept(*, created: bool) -> str:
    return "certificate.uploaded" if created else "certificate.updated"


def _log_kept(record: CertificateRecord, *, created: bool, count: int, actor: str) -> None:
    log.info(_kept(created=created), certificate=record.id, leaf=record.fingerprint, user=actor, count=count)
