"""Custom trusted CAs: anchors and intermediates, used beside the built-in list by every node."""

from collections.abc import Sequence

import structlog

from common.pki.certificate import Certificate
from common.pki.upload import read_trusted_cas
from manager.domain.model import TrustedCaRecord
from manager.operations.context import Context
from manager.operations.workers import READ_TIMEOUT_S
from manager.store.records import NewTrustedCa

log = structlog.get_logger(__name__)


class TrustOperations:
    """See the module."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def upload(self, certificates: str, *, actor: str) -> Sequence[tuple[TrustedCaRecord, bool]]:
        """Keep every CA certificate of a text, or none; return each, and whether it is a new entry.

        Raises PkiFindingsError with every finding.
        """
        found = await self._context.workers.run(READ_TIMEOUT_S, read_trusted_cas, certificates)
        kept = await self._context.store.trusted_cas.add(
            [_new(each) for each in found], now_s=self._context.clock()
        )
        names = [record.subject_name for record, _ in kept]
        await self._context.note(actor, "trusted_ca.uploaded", "trusted CAs", {"subjects": names})
        log.info("trust.changed", count=len(kept), user=actor, cause="uploaded")
        self._context.fleet.changed(None, cause="trusted CAs uploaded")
        return kept

    async def list(self) -> Sequence[TrustedCaRecord]:
        """Return all custom ones."""
        return await self._context.store.trusted_cas.list()

    async def delete(self, trusted_ca_ids: Sequence[int], *, actor: str) -> None:
        """Remove all of these or none. Raises NotFoundError."""
        await self._context.store.trusted_cas.delete(trusted_ca_ids)
        await self._context.note(actor, "trusted_ca.deleted", "trusted CAs", {"ids": list(trusted_ca_ids)})
        log.info("trust.changed", count=len(trusted_ca_ids), user=actor, cause="deleted")
        self._context.fleet.changed(None, cause="trusted CAs deleted")


def _new(certificate: Certificate) -> NewTrustedCa:
    return NewTrustedCa(
        text=certificate.pem,
        certificate_pem=certificate.pem,
        fingerprint=certificate.fingerprint,
        subject_name=certificate.subject_name,
        issuer_name=certificate.issuer_name,
        raw_subject=certificate.raw_subject,
        raw_issuer=certificate.raw_issuer,
        serial_no=certificate.serial_no,
        not_before_s=certificate.not_before_s,
        not_after_s=certificate.not_after_s,
        self_signed=certificate.is_self_signed,
    )
