"""Audit log: recording refused attempts, shipping signed heads, comparing the log with them, verifying.

Decides how often. Invariant: shipped heads are signed by the log's key, so they can later prove the log's
state.
"""

import asyncio
import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import structlog

from common.errors import CertcastError, StorageError
from common.ids import MANAGEMENT_NODE
from manager.domain.attempts import Attempt
from manager.domain.audit import AuditPage, AuditSearch, Verification
from manager.store.audit import WITNESSED
from manager.store.chain import Head, SignedHead, parse_signed_head
from manager.usecases import heads
from manager.usecases.context import Context
from manager.usecases.ports import Lead

log = structlog.get_logger(__name__)

RECORD_S: Final = 60.0
"""Interval at which attempts are summed: one entry per kind and minute, however many attempts there were."""

SHIP_S: Final = 5.0
"""Longest time that the end of the log stays unshipped; at most twelve lines a minute."""

VERIFY_S: Final = 86400.0
"""Interval of full verification: nothing else detects an altered entry in the middle of the log."""

LEADS_S: Final = 10.0
"""Delay after which a new leader verifies the log; findings of the previous leader are not kept."""

MANAGER: Final = "manager"
"""Actor of the manager's own actions."""

STRANGER: Final = "unknown"
"""Actor of refused attempts. The given name is only a claim, so it goes into the details."""

SEVERAL: Final = "several users"
"""Actor of entries about several users; user names contain no spaces."""


class AuditUseCases:
    """Use cases of the audit log.

    The composition root supervises `run_attempts`, `run_heads` and `run_verification`.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._files: Sequence[Path] = ()

    async def page(self, search: AuditSearch, *, size: int, before: int | None) -> AuditPage:
        """Return the latest entries that match a search, older than the id `before` if given."""
        # one more than is shown tells whether there is a next page
        found = await self._context.store.audit.list(
            limit=size + 1,
            before=before,
            actor=search.actor,
            action=search.action,
            subject=search.subject,
        )
        entries = found[:size]
        return AuditPage(entries=entries, next_before=entries[-1].id if len(found) > size else None)

    async def head(self) -> SignedHead | None:
        """Return the signed end of the log, to be stored elsewhere; None if it is missing or was altered.

        Raises StorageError.
        """
        return await self._context.store.audit.signed_head(at_s=self._context.clock())

    async def verify(self, *, noted: str | None, kept: str | None) -> Verification:
        """Verify the chain; `kept` is a signed head, or a line that contains one.

        Raises InvalidInputError, StorageError.
        """
        signed = None if kept is None else parse_signed_head(kept)
        # without the chain key nothing can be compared; the verification reports that it is missing
        with contextlib.suppress(StorageError, OSError):
            await self.compare()
        return await self._context.store.audit.verify(noted=noted, kept=signed)

    async def record_attempts(self) -> None:
        """Write the attempts since the last time into the log. Raises StorageError."""
        for each in self._context.attempts.take():
            actor = STRANGER
            if each.attempt is Attempt.SIGN_IN_REPEATED:
                # these names were authenticated
                actor = each.only_name or SEVERAL
            await self._context.audit(actor, each.attempt, each.subject, each.detail)

    async def run_attempts(self) -> None:
        """Record attempts every minute, until cancelled."""
        while True:
            await asyncio.sleep(RECORD_S)
            try:
                await self.record_attempts()
            except CertcastError as error:
                log.error("store.failed", reason=error.reason, message=error.message)

    async def run_heads(self, witness: Path, file: Path | None) -> None:
        """Ship the head whenever it changed, until cancelled: to the journal, the witness and a file, if given."""
        self.keep_heads_in(witness, file)
        shipped: Head | None = None
        while True:
            try:
                if shipped is None:
                    await self.compare()
                shipped = await self.ship(witness, file, shipped=shipped)
                await self.tell_fault()
            except (CertcastError, OSError) as error:
                log.error("audit.unshipped", message=str(error), path=str(file or witness))
            await asyncio.sleep(SHIP_S)

    async def run_verification(self, lead: Lead) -> None:
        """Verify the log when this manager begins to lead and every day, until cancelled.

        Findings raise an alarm.
        """
        verified_s = float("-inf")
        while True:
            now_s = self._context.monotonic()
            if not lead.is_ours:
                verified_s = float("-inf")
            elif now_s - verified_s >= VERIFY_S:
                try:
                    await self._context.store.audit.verify()
                except CertcastError as error:
                    log.error("store.failed", reason=error.reason, message=error.message)
                verified_s = now_s
            await asyncio.sleep(LEADS_S)

    async def tell_fault(self) -> None:
        """Report findings to the other managers, one of which may be the one that raises alarms.

        Raises StorageError.
        """
        if self._context.store.is_shared:
            await self._context.store.audit_faults.tell(
                self._context.own_node, self._context.store.audit.own_fault
            )

    def keep_heads_in(self, witness: Path, file: Path | None) -> None:
        """Compare the log with the heads in these files from now on."""
        self._files = (witness,) if file is None else (witness, file)

    async def compare(self) -> SignedHead | None:
        """Return the first head that was shipped to a file but is not in the log.

        Raises StorageError, OSError.
        """
        await self._check_witness()
        known = [each for file in self._files for each in await asyncio.to_thread(heads.read, file)]
        return await self._context.store.audit.compare(known)

    def _name_of(self, witness: Path) -> str:
        """Return the name under which the log knows this manager's head.

        Every manager of a store keeps its own.
        """
        own = self._context.own_node
        return witness.name if own == MANAGEMENT_NODE else f"{witness.name} of {own}"

    async def _check_witness(self) -> bool:
        """Whether the witness exists, or was never created."""
        audit = self._context.store.audit
        for witness in self._files[:1]:
            is_there = bool(await asyncio.to_thread(heads.read, witness))
            if not is_there and await audit.has_witness(self._name_of(witness)):
                audit.miss_witness()
                return False
        return True

    async def ship(self, witness: Path, file: Path | None, *, shipped: Head | None) -> Head | None:
        """Ship the head unless it was the last one shipped; return it.

        Raises StorageError, OSError. A witness whose head is not in the log is left unchanged, and a missing
        witness is not created again: this is the evidence, also after the next start.
        """
        audit = self._context.store.audit
        is_whole = await self._check_witness()
        signed = await self.head()
        if signed is None or signed.head == shipped:
            return shipped
        if not await audit.has_witness(self._name_of(witness)):
            # audited before the file exists, so that removing the file does not hide that there was one
            await self._context.audit(MANAGER, WITNESSED, self._name_of(witness))
            signed = await self.head() or signed
        heads.tell(signed)
        if is_whole and await audit.compare(await asyncio.to_thread(heads.read, witness)) is None:
            await asyncio.to_thread(heads.keep, witness, signed)
        if file is not None:
            await asyncio.to_thread(heads.append, file, signed)
        return signed.head
