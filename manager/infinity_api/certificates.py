"""TLS certificates and trusted CAs for the management API's clients."""

import asyncio
from collections.abc import Mapping, Sequence

from common.ids import CertificateId, NodeName, TrustedCaId
from common.pki.certificate import Certificate
from common.pki.expiry import as_number
from manager.domain.inventory import Entry, Inventory
from manager.infinity_api.collection import SPARED, Made, Rows
from manager.infinity_api.contract.description import Values
from manager.infinity_api.contract.filters import Row
from manager.infinity_api.contract.nodes import names_called, nodes_called
from manager.infinity_api.contract.resources.certificates import CA_CERTIFICATE, TLS_CERTIFICATE
from manager.pki.text.certificate import text_form
from manager.usecases.uploads import Edit, NewKey, Upload
from manager.usecases.usecases import UseCases

AT_ONCE = 200
"""How many certificates' texts are made between two turns of the loop."""


class TlsCertificates:
    """Owns rows that are made once a certificate."""

    resource = TLS_CERTIFICATE

    def __init__(self, use_cases: UseCases) -> None:
        self._use_cases = use_cases
        self._seen: tuple[Inventory, Rows] | None = None
        self._made: dict[int, tuple[Certificate, Row]] = {}

    async def rows(self) -> Rows:
        """Return all, without their texts."""
        inventory = await self._inventory()
        if self._seen is None or self._seen[0] is not inventory:
            self._made = {number: self._row(entry) for number, entry in inventory.entries.items()}
            rows = {number: row for number, (_, row) in self._made.items()}
            self._seen = inventory, {**rows, **_spared(inventory, rows)}
        return self._seen[1]

    async def complete(self, rows: Sequence[Row]) -> Sequence[Row]:
        """Add what is only shown: the texts as they came, the decoded text, the nodes."""
        inventory = await self._inventory()
        names = names_called(inventory.nodes.values())
        found: list[Row] = []
        for start in range(0, len(rows), AT_ONCE):
            part = {CertificateId(int(str(row["id"]))): row for row in rows[start : start + AT_ONCE]}
            records = await self._use_cases.certificates.records(part)
            leaves = [inventory.entries[each.id].leaf for each in records if each.id in inventory.entries]
            texts = await asyncio.to_thread(_texts, leaves)
            shown = {
                record.id: {
                    **part[record.id],
                    "certificate": record.text,
                    "parameters": record.parameters_text,
                    "nodes": _nodes(names, inventory.entries[record.id]),
                    "text": texts[inventory.entries[record.id].leaf],
                }
                for record in records
                if record.id in inventory.entries
            }
            found += [shown[number] for number in part if number in shown]
        return found

    async def create(self, values: Values, *, actor: str) -> Made:
        """Take an upload; one with the same issuer and serial number is updated, and has its id already."""
        kept = await self._use_cases.certificates.upload(
            Upload(
                certificate=str(values["certificate"]),
                private_key=str(values["private_key"]),
                passphrase=str(values["private_key_passphrase"]) or None,
                parameters=str(values["parameters"]),
                nodes=await self._nodes_called(values["nodes"]),
            ),
            actor=actor,
        )
        return Made(object_id=kept.record.id)

    async def change(self, object_id: int, values: Values, *, actor: str) -> None:
        """Change one in place; a private key is taken too, which only this contract allows.

        Its clients cannot confirm that a chain of trust breaks: what it needs stays
        (docs/decisions/0027-chains-stay-whole.md).
        """
        key = None
        if "private_key" in values:
            passphrase = str(values.get("private_key_passphrase") or "") or None
            key = NewKey(pem=str(values["private_key"]), passphrase=passphrase)
        edit = Edit(
            certificate=_text(values, "certificate"),
            parameters=_text(values, "parameters"),
            key=key,
            nodes=await self._nodes_called(values["nodes"]) if "nodes" in values else None,
            completes=True,
        )
        await self._use_cases.certificates.edit(CertificateId(object_id), edit, actor=actor)

    async def delete(self, object_ids: Sequence[int], *, actor: str) -> None:
        """Delete, even where nodes have them: these keep what they serve, and the alarm says so."""
        await self._use_cases.certificates.delete([*map(CertificateId, object_ids)], force=True, actor=actor)

    async def _inventory(self) -> Inventory:
        return await self._use_cases.inventory()

    async def _nodes_called(self, texts: object) -> list[NodeName]:
        wanted = [str(text) for text in texts] if isinstance(texts, list) else []
        records = (await self._inventory()).nodes.values()
        return [*nodes_called(self.resource, wanted, records)]

    def _row(self, entry: Entry) -> tuple[Certificate, Row]:
        known = self._made.get(entry.id)
        if known is not None and known[0] is entry.leaf:
            return known
        leaf = entry.leaf
        row = {
            "id": entry.id,
            **_decoded(leaf),
            "subject_alt_names": ",".join(leaf.subject_alt_names),
            "server_auth_usage": leaf.server_auth_usage,
            "client_auth_usage": leaf.client_auth_usage,
        }
        return leaf, row


class TrustedCas:
    resource = CA_CERTIFICATE

    def __init__(self, use_cases: UseCases) -> None:
        self._use_cases = use_cases

    async def rows(self) -> Rows:
        """Return the custom ones."""
        inventory = await self._use_cases.inventory()
        return {
            number: {
                "id": number,
                "certificate": record.text,
                "trusted_intermediate": record.trusted_intermediate,
                **_decoded(inventory.trust.custom[number]),
            }
            for number, record in inventory.trusted_cas.items()
        }

    async def complete(self, rows: Sequence[Row]) -> Sequence[Row]:
        """Add the decoded texts."""
        custom = (await self._use_cases.inventory()).trust.custom
        there = [row for row in rows if row["id"] in custom]
        leaves = [custom[TrustedCaId(int(str(row["id"])))] for row in there]
        texts = await asyncio.to_thread(_texts, leaves)
        return [{**row, "text": texts[leaf]} for row, leaf in zip(there, leaves, strict=True)]

    async def create(self, values: Values, *, actor: str) -> Made:
        """Take one CA certificate; one with the same issuer and serial number is updated, and has its id already."""
        record, _ = await self._use_cases.trust.upload_one(
            str(values["certificate"]),
            trusted_intermediate=bool(values["trusted_intermediate"]),
            actor=actor,
        )
        return Made(object_id=record.id)

    async def change(self, object_id: int, values: Values, *, actor: str) -> None:
        """Change one in place."""
        wanted = values.get("trusted_intermediate")
        await self._use_cases.trust.edit(
            TrustedCaId(object_id),
            certificate=_text(values, "certificate"),
            trusted_intermediate=None if wanted is None else bool(wanted),
            force=True,
            actor=actor,
        )

    async def delete(self, object_ids: Sequence[int], *, actor: str) -> None:
        """Delete; a program that asks for it has been told to."""
        await self._use_cases.trust.delete([*map(TrustedCaId, object_ids)], force=True, actor=actor)


def _spared(inventory: Inventory, rows: Rows) -> Rows:
    """Return the rows of temporary certificates that nodes have: a node's field says null for them, so clients call them unused."""
    found: dict[int, Row] = {}
    for number, row in rows.items():
        entry = inventory.entries[CertificateId(number)]
        if entry.temporary and entry.places:
            names = ", ".join(dict.fromkeys(place.node for place in entry.places))
            found[number] = {
                **row,
                SPARED: f"{names} has only this temporary certificate; assign another first.",
            }
    return found


def _text(values: Values, name: str) -> str | None:
    return str(values[name]) if name in values else None


def _nodes(names: Mapping[NodeName, str], entry: Entry) -> list[str]:
    return [names[place.node] for place in entry.places if place.slot == "server"]


def _texts(leaves: Sequence[Certificate]) -> Mapping[Certificate, str]:
    return {leaf: text_form(leaf) for leaf in leaves}


def _decoded(certificate: Certificate) -> dict[str, object]:
    return {
        # never null: the existing clients cannot read that
        "start_date": as_number(certificate.not_before_s),
        "end_date": as_number(certificate.not_after_s),
        "subject_name": certificate.subject_name,
        "subject_hash": certificate.subject_hash,
        "raw_subject": certificate.raw_subject,
        "issuer_name": certificate.issuer_name,
        "issuer_hash": certificate.issuer_hash,
        "raw_issuer": certificate.raw_issuer,
        "serial_no": certificate.serial_no,
        "key_id": certificate.key_id,
        "issuer_key_id": certificate.issuer_key_id,
    }
