"""All use cases together, over one context."""

from manager.usecases.alarms import AlarmOperations
from manager.usecases.audit import AuditOperations
from manager.usecases.callers import CallerOperations
from manager.usecases.certificates import CertificateOperations
from manager.usecases.clients import ClientOperations
from manager.usecases.context import Context
from manager.usecases.generations import GenerationOperations
from manager.usecases.nodes import JoinFacts, NodeOperations
from manager.usecases.previews import PreviewOperations
from manager.usecases.pushes import PushOperations
from manager.usecases.requests import RequestOperations
from manager.usecases.roles import RoleOperations
from manager.usecases.sessions import SessionOperations
from manager.usecases.setup import SetupOperations
from manager.usecases.trust import TrustOperations
from manager.usecases.users import UserOperations


class Operations:
    """See the module. `join` is None where no node can join (while the store is being initialised)."""

    def __init__(self, context: Context, *, join: JoinFacts | None = None) -> None:
        self.context = context
        self.alarms = AlarmOperations(context)
        self.audit = AuditOperations(context)
        self.certificates = CertificateOperations(context)
        self.generations = GenerationOperations(context)
        self.nodes = NodeOperations(context, join)
        self.previews = PreviewOperations(context)
        self.pushes = PushOperations(context, self.generations)
        self.requests = RequestOperations(context)
        self.sessions = SessionOperations(context)
        self.trust = TrustOperations(context)
        self.users = UserOperations(context)
        self.clients = ClientOperations(context)
        self.callers = CallerOperations(context, self.users, self.clients)
        self.roles = RoleOperations(context)
        self.setup = SetupOperations(context, self.users)
