"""Certificate download: one file with certificates, their chains and their encrypted keys.

Decides what may leave the manager. Exported keys are recorded in the audit log.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import structlog

from common.bundle.build import SlotMaterial
from common.codes import Format
from common.errors import Hint, NotFoundError, PkiError, Reason
from common.ids import CertificateId
from manager.domain.inventory import Inventory
from manager.pki.write.export import Download, ExportItem, export
from manager.usecases.context import Context
from manager.usecases.workers import EXPORT_TIMEOUT_S

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class DownloadOptions:
    """Contents of a download. Keys are included only if encrypted with `passphrase`."""

    leaf: bool = True
    chain: bool = True
    key: bool = False
    form: Format = Format.PEM
    passphrase: str | None = None


class DownloadUseCases:
    def __init__(self, context: Context) -> None:
        self._context = context

    async def download(
        self, certificate_ids: Sequence[CertificateId], wanted: DownloadOptions, *, actor: str
    ) -> Download:
        """Return one file with these certificates.

        Raises NotFoundError, PkiError for a temporary certificate, InvalidInputError for a missing
        passphrase.
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
        if wanted.key and (missing := [number for number in numbers if number not in materials]):
            raise NotFoundError(f"certificate {missing[0]} was deleted a moment ago")
        items = await asyncio.to_thread(_export_items, inventory, numbers, wanted, materials, now_s)
        made = await self._context.workers.run(
            EXPORT_TIMEOUT_S, export, items, wanted.form, passphrase=wanted.passphrase
        )
        if wanted.key:
            detail = {"certificates": numbers, "form": wanted.form}
            await self._context.audit(actor, "key.exported", made.name, detail)
            log.info("key.exported", count=len(numbers), user=actor)
        return made


def _export_items(
    inventory: Inventory,
    numbers: Sequence[CertificateId],
    wanted: DownloadOptions,
    materials: Mapping[CertificateId, SlotMaterial],
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
