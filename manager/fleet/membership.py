"""Membership of this manager in its store's cluster, by a lease that it renews, and its leadership.

Decides when this manager evicts itself. Invariant: a manager that was evicted, or could not renew its lease
while others existed, holds no node's connection and is not ready until it is a member again, under another
number. One that stood down stays so until it is restarted. A manager that is alone keeps its connections
while the store is away, as its nodes have nowhere to go.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from common.errors import MembershipLostError, StorageError
from common.ids import NodeName
from manager.domain.members import MemberId
from manager.fleet.leading import Lead
from manager.store.members import LEASE_S, RENEW_EACH_S
from manager.store.store import Store

log = structlog.get_logger(__name__)

ANSWER_S: Final = 5.0
"""How long the store may take to renew a lease before it counts as away."""

EXPIRED: Final = "another manager evicted it"
CUT_OFF: Final = "it could not renew its lease"


class Membership:
    """The membership. `node` is this manager's own.

    `lost` is called whenever membership ends, and must end connections. `freed` is called after evicting
    others, whose nodes then belong to no manager.
    """

    def __init__(
        self,
        store: Store,
        node: NodeName,
        *,
        lead: Lead,
        lost: Callable[[], None],
        freed: Callable[[], Awaitable[None]],
    ) -> None:
        self._freed = freed
        self.node = node
        self._store = store
        self._lead = lead
        self._lost = lost
        self._id: MemberId | None = None
        self._former: MemberId | None = None
        self._renewed_s = time.monotonic()
        self._has_others = False
        self._is_over = False
        self._why = "it has not joined yet"

    @property
    def id(self) -> MemberId | None:
        """This member's number, None while it is not a member."""
        return self._id

    def fault(self) -> str:
        """Return why this manager is not a member of its store, "" if it is."""
        return "" if self._id is not None else f"this manager takes no nodes: {self._why}"

    async def join(self) -> None:
        """Become a member. Raises StorageError."""
        members = self._store.members
        former = [] if self._former is None else [self._former]
        if not self._store.is_shared:
            # no other process can serve it: an existing member was this manager in an earlier life
            former = [each.id for each in await members.list()]
        for each in former:
            await members.leave(each)
        self._former = None
        member = await members.join(self.node)
        self._store.act_as(member)
        self._id, self._renewed_s = member, time.monotonic()
        log.info("member.joined", member=member)
        await self._lead.try_to_lead()

    async def run(self) -> None:
        """Renew the lease, and evict members that do not renew theirs, until cancelled."""
        while True:
            await self.renew()
            await asyncio.sleep(RENEW_EACH_S)

    async def renew(self) -> None:
        """Renew the lease, or become a member again."""
        if self._is_over:
            return
        try:
            async with asyncio.timeout(ANSWER_S):
                if self._id is None:
                    await self.join()
                is_free = await self._renew()
            if is_free:
                await self._freed()
        except MembershipLostError:
            self._lose(EXPIRED)
        except (StorageError, TimeoutError) as error:
            text = str(error) or f"no answer within {ANSWER_S:g} s"
            log.error("store.failed", message=text, retry_after_s=RENEW_EACH_S)
            if self._has_others and time.monotonic() - self._renewed_s > LEASE_S:
                self._lose(CUT_OFF)

    def stand_down(self, why: str) -> None:
        """Give up membership for the rest of this process, and change nothing from now on."""
        self._is_over = True
        self._store.stand_down(why)
        log.error("manager.stood_down", message=why)
        self._lose(why)
        self._why = why

    async def leave(self) -> None:
        """Give up membership, so that others need not wait for the lease to expire. Raises StorageError."""
        self._is_over = True
        member, self._id, self._why = self._id, None, "it ends"
        if member is not None:
            await self._store.members.leave(member)

    async def _renew(self) -> bool:
        """Renew the lease; return whether others were evicted."""
        members = self._store.members
        if self._id is None:
            return False
        await members.renew(self._id)
        self._renewed_s = time.monotonic()
        gone = await members.expire()
        for each in gone:
            log.warning("member.expired", member=each.id, node=each.node)
        self._has_others = self._store.is_shared and len(await members.list()) > 1
        await self._lead.try_to_lead()
        return bool(gone)

    def _lose(self, why: str) -> None:
        if self._id is None:
            return
        log.error("member.lost", member=self._id, message=why)
        self._former, self._id, self._why = self._id, None, why
        self._lead.lose()
        self._lost()
