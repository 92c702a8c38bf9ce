"""All use cases together, over one context."""

from manager.operations.alarms import AlarmOperations
from manager.operations.audit import AuditOperations
from manager.operations.callers import CallerOperations
from manager.operations.certificates import CertificateOperations
from manager.operations.clients import ClientOperations
from manager.operations.context import Context
from manager.operations.generations import GenerationOperations
from manager.operations.nodes import JoinFacts, NodeOperations
from manager.operations.previews import PreviewOperations
from manager.operations.pushes import PushOperations
from manager.operations.requests import RequestOperations
from manager.operations.roles import RoleOperations
from manager.operations.sessions import SessionOperations
from manager.operations.setup import SetupOperations
from manager.operations.trust import TrustOperations
from manager.operations.users import UserOperations


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
