"""All use cases together, over one context."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from manager.domain.inventory import Inventory
from manager.usecases.alarms import AlarmOperations
from manager.usecases.assignments import AssignmentOperations
from manager.usecases.audit import AuditOperations
from manager.usecases.callers import CallerOperations
from manager.usecases.certificates import CertificateOperations
from manager.usecases.clients import ClientOperations
from manager.usecases.context import Context
from manager.usecases.documents import DocumentOperations
from manager.usecases.downloads import DownloadOperations
from manager.usecases.generations import GenerationOperations
from manager.usecases.nodes import JoinFacts, NodeOperations
from manager.usecases.previews import PreviewOperations
from manager.usecases.pushes import PushOperations
from manager.usecases.requests import RequestOperations
from manager.usecases.rights import Rights
from manager.usecases.roles import RoleOperations
from manager.usecases.sessions import SessionOperations
from manager.usecases.setup import SetupOperations
from manager.usecases.trust import TrustOperations
from manager.usecases.users import UserOperations

COLLECT_S: Final = 3600.0


class Operations:
    """See the module. `workers` read what strangers made; `join` is None where no node can join (while the store is being initialised)."""

    def __init__(self, context: Context, *, join: JoinFacts | None = None) -> None:
        self._context = context
        self.workers = context.workers
        self.alarms = AlarmOperations(context)
        self.audit = AuditOperations(context)
        self.certificates = CertificateOperations(context)
        self.assignments = AssignmentOperations(context)
        self.downloads = DownloadOperations(context)
        self.generations = GenerationOperations(context)
        self.nodes = NodeOperations(context, join)
        self.previews = PreviewOperations(context)
        self.pushes = PushOperations(context, self.generations)
        self.requests = RequestOperations(context)
        self.sessions = SessionOperations(context)
        self.trust = TrustOperations(context)
        self.users = UserOperations(context)
        self.clients = ClientOperations(context)
        self.documents = DocumentOperations(context)
        self.callers = CallerOperations(context, self.users, self.clients)
        self.roles = RoleOperations(context)
        self.setup = SetupOperations(context, self.users)

    @property
    def now_s(self) -> float:
        """The moment, by the manager's clock, in unix seconds."""
        return self._context.clock()

    async def inventory(self) -> Inventory:
        """Return certificates, trusted CAs, nodes and assignments as they are, from one moment."""
        return await self._context.inventories.current()

    async def run_collection(self) -> None:
        """Each hour, drop what is not needed any more: old generations, alarms, sessions."""
        while True:
            await asyncio.sleep(COLLECT_S)
            await self._context.store.generations.collect()
            await self.alarms.collect()
            await self.sessions.distrust_clock()
            await self.sessions.collect()

    def rights(self, check: Callable[[], Awaitable[None]]) -> Rights:
        """Watch over a request of who was allowed to make it; `check` raises AccessError once they no longer are."""
        return Rights(self._context, check)
