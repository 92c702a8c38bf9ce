"""Use cases of the manager, all built on one context."""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from typing import Final

from common.ids import NodeName
from manager.domain.inventory import Inventory
from manager.domain.renewal.records import ChallengeKind
from manager.usecases.alarms import AlarmUseCases
from manager.usecases.assignments import AssignmentUseCases
from manager.usecases.audit import AuditUseCases
from manager.usecases.callers import CallerUseCases
from manager.usecases.certificates import CertificateUseCases
from manager.usecases.clients import ClientUseCases
from manager.usecases.context import Context
from manager.usecases.csrs import CsrUseCases
from manager.usecases.documents import DocumentUseCases
from manager.usecases.downloads import DownloadUseCases
from manager.usecases.generations import GenerationUseCases
from manager.usecases.host_key import HostKeyUseCases
from manager.usecases.nodes import JoinFacts, NodeUseCases
from manager.usecases.ports import Lead
from manager.usecases.previews import PreviewUseCases
from manager.usecases.pushes import PushUseCases
from manager.usecases.renewal.accounts import AccountUseCases
from manager.usecases.renewal.ports import Cas
from manager.usecases.renewal.renewals import RenewalUseCases
from manager.usecases.rights import Rights
from manager.usecases.roles import RoleUseCases
from manager.usecases.sessions import SessionUseCases
from manager.usecases.setup import SetupUseCases
from manager.usecases.trust import TrustUseCases
from manager.usecases.users import UserUseCases

COLLECT_S: Final = 3600.0


class UseCases:
    """All use cases.

    `workers` parse untrusted input; `join` is None while the store is being initialised: no node can join.

    `cas` asks the CAs of accounts, and `wake` makes the renewal runner check at once; they are `NoCas` and
    `wake_nobody` where no manager runs. `challenges` are the kinds for which proofs can be shown.
    """

    def __init__(
        self,
        context: Context,
        *,
        join: JoinFacts | None = None,
        cas: Cas,
        wake: Callable[[], None],
        challenges: Collection[ChallengeKind],
    ) -> None:
        self._context = context
        self.workers = context.workers
        self.accounts = AccountUseCases(context, cas, wake=wake)
        self.alarms = AlarmUseCases(context)
        self.audit = AuditUseCases(context)
        self.certificates = CertificateUseCases(context)
        self.assignments = AssignmentUseCases(context)
        self.downloads = DownloadUseCases(context)
        self.generations = GenerationUseCases(context)
        self.host_key = HostKeyUseCases(context)
        self.nodes = NodeUseCases(context, join)
        self.previews = PreviewUseCases(context)
        self.pushes = PushUseCases(context, self.generations)
        self.renewals = RenewalUseCases(context, wake=wake, challenges=challenges)
        self.csrs = CsrUseCases(context)
        self.sessions = SessionUseCases(context)
        self.trust = TrustUseCases(context)
        self.users = UserUseCases(context)
        self.clients = ClientUseCases(context)
        self.documents = DocumentUseCases(context)
        self.callers = CallerUseCases(context, self.users, self.clients)
        self.roles = RoleUseCases(context)
        self.setup = SetupUseCases(context, self.users)

    @property
    def now_s(self) -> float:
        """The current time by the manager's clock, in unix seconds."""
        return self._context.clock()

    @property
    def own_node(self) -> NodeName:
        """This manager's management node."""
        return self._context.own_node

    def content_changed_elsewhere(self) -> None:
        """Note that another manager changed content, so that all alarms are evaluated again."""
        self._context.content_changed.set()

    async def inventory(self) -> Inventory:
        """Return a consistent snapshot of certificates, trusted CAs, nodes and assignments."""
        return await self._context.inventories.current()

    async def run_collection(self, lead: Lead) -> None:
        """Delete outdated generations, alarms and sessions every hour. One manager does it for all."""
        while True:
            await asyncio.sleep(COLLECT_S)
            if lead.is_ours:
                with lead.enforced():
                    await self._context.store.generations.collect()
                    await self.alarms.collect()
                    await self.renewals.collect()
                    await self.sessions.collect()

    def rights(self, check: Callable[[], Awaitable[None]]) -> Rights:
        """Recheck a caller's permission during a long request.

        `check` raises AccessError once it has been revoked.
        """
        return Rights(self._context, check)
