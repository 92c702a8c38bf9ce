"""Audit log: recording what strangers tried, shipping signed heads, comparing the log with them, and verifying.

Decides how often. Invariant: what is shipped is signed by the log's key, so it can be presented later as what the log was then.
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
"""How often attempts are summed up: one entry a kind and minute, whoever tries how often."""

SHIP_S: Final = 5.0
"""How long the end of the log may go unshipped; at most twelve lines a minute."""

VERIFY_S: Final = 86400.0
"""How often all of the log is walked: an entry that is altered in its middle shows in nothing else."""

LEADS_S: Final = 10.0
"""How soon a manager that begins to lead walks it: what the one before it found is known to nobody any more."""

MANAGER: Final = "manager"
"""Who acts in what the manager does for itself."""

STRANGER: Final = "unknown"
"""Who acts in what was refused: the name that was given is a claim, and stands in the details."""

SEVERAL: Final = "several users"
"""Who acts in what several did; no user's name has a space."""


class AuditUseCases:
    """`run_attempts`, `run_heads` and `run_verification` are kept running by the composition root."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._files: Sequence[Path] = ()

    async def page(self, search: AuditSearch, *, size: int, before: int | None) -> AuditPage:
        """Return the latest acts that a search finds, of those before an id if one is given."""
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
        """Return the end of the log, signed, to be kept elsewhere; None if it is missing or was altered. Raises StorageError."""
        return await self._context.store.audit.signed_head(at_s=self._context.clock())

    async def verify(self, *, noted: str | None, kept: str | None) -> Verification:
        """Walk the chain; `kept` is a signed head, or a line that has it. Raises InvalidInputError, StorageError."""
        signed = None if kept is None else parse_signed_head(kept)
        # without the chain key nothing can be compared, and the walk says that it is missing
        with contextlib.suppress(StorageError, OSError):
            await self.compare()
        return await self._context.store.audit.verify(noted=noted, kept=signed)

    async def record_attempts(self) -> None:
        """Write what was tried since the last time into the log. Raises StorageError."""
        for each in self._context.attempts.take():
            actor = STRANGER
            if each.attempt is Attempt.SIGN_IN_REPEATED:
                # these names were proven
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
        """Ship the head whenever it changed, until cancelled: to the journal, to the witness, and to a file if one is given."""
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
        """Walk the chain when this manager begins to lead and each day, until cancelled; what is found is an alarm."""
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
        """Tell the other managers of the store what only this one has found, since one of them may be the one that raises alarms. Raises StorageError."""
        if self._context.store.is_shared:
            await self._context.store.audit_faults.tell(
                self._context.own_node, self._context.store.audit.own_fault
            )

    def keep_heads_in(self, witness: Path, file: Path | None) -> None:
        """Compare the log with the heads that are in these files from now on."""
        self._files = (witness,) if file is None else (witness, file)

    async def compare(self) -> SignedHead | None:
        """Return the first head that was shipped into a file and that the log does not hold. Raises StorageError, OSError."""
        await self._check_witness()
        known = [each for file in self._files for each in await asyncio.to_thread(heads.read, file)]
        return await self._context.store.audit.compare(known)

    def _name_of(self, witness: Path) -> str:
        """Return what the log calls the head that this manager keeps: every manager of a store keeps one of its own."""
        own = self._context.own_node
        return witness.name if own == MANAGEMENT_NODE else f"{witness.name} of {own}"

    async def _check_witness(self) -> bool:
        """Return whether the head beside the log is there, or was never put there."""
        audit = self._context.store.audit
        for witness in self._files[:1]:
            is_there = bool(await asyncio.to_thread(heads.read, witness))
            if not is_there and await audit.has_witness(self._name_of(witness)):
                audit.miss_witness()
                return False
        return True

    async def ship(self, witness: Path, file: Path | None, *, shipped: Head | None) -> Head | None:
        """Ship the head unless it is the one that was shipped last; return it. Raises StorageError, OSError.

        A witness whose head the log does not hold stays as it is, and one that is gone is not made again: that is what tells, also after the next start.
        """
        audit = self._context.store.audit
        is_whole = await self._check_witness()
        signed = await self.head()
        if signed is None or signed.head == shipped:
            return shipped
        if not await audit.has_witness(self._name_of(witness)):
            # before the file is there: whoever removes it then cannot say that there was none
            await self._context.audit(MANAGER, WITNESSED, self._name_of(witness))
            signed = await self.head() or signed
        heads.tell(signed)
        if is_whole and await audit.compare(await asyncio.to_thread(heads.read, witness)) is None:
            await asyncio.to_thread(heads.keep, witness, signed)
        if file is not None:
            await asyncio.to_thread(heads.append, file, signed)
        return signed.head
