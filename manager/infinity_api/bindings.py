"""Bindings of the management API's resources to their collections.

Decides which are writable; every resource with a list is here.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from manager.http.authentication import Api
from manager.infinity_api.access import Clients, Permissions, Roles
from manager.infinity_api.certificates import TlsCertificates, TrustedCas
from manager.infinity_api.collection import Collection, Writable
from manager.infinity_api.conferencing import EmptyCollection, Licensing, LocationStatus
from manager.infinity_api.contract.resources.conferencing import EMPTY
from manager.infinity_api.contract.resources.nodes import MANAGEMENT_VM, SYSTEM_LOCATION, WORKER_VM
from manager.infinity_api.contract.resources.platform import GLOBAL
from manager.infinity_api.contract.resources.small import SMALL
from manager.infinity_api.contract.resources.status import MANAGEMENT_STATUS, WORKER_STATUS
from manager.infinity_api.csrs import SigningRequests
from manager.infinity_api.documents import Documents, Singleton
from manager.infinity_api.nodes import Nodes
from manager.infinity_api.status import AlarmHistory, Alarms, NodeStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class Collections:
    """All collections; the writable ones are readable too.

    `clients` may be named by their client id as well.
    """

    writable: Sequence[Writable]
    readable: Sequence[Collection]
    clients: Clients


def collections_of(api: Api) -> Collections:
    """Bind every resource to its collection."""
    use_cases, fleet = api.use_cases, api.fleet
    naming = asyncio.Lock()
    locations, clients = Documents(SYSTEM_LOCATION, use_cases), Clients(use_cases)
    writable: list[Writable] = [
        TlsCertificates(use_cases),
        TrustedCas(use_cases),
        SigningRequests(use_cases),
        Nodes(WORKER_VM, "node", use_cases, locations, naming),
        Nodes(MANAGEMENT_VM, "management", use_cases, locations, naming),
        locations,
        *(Documents(resource, use_cases) for resource in SMALL),
        Singleton(GLOBAL, use_cases),
        Roles(use_cases),
        clients,
    ]
    readable: list[Collection] = [
        *writable,
        Alarms(use_cases),
        AlarmHistory(use_cases),
        NodeStatus(WORKER_STATUS, "node", use_cases, fleet, locations),
        NodeStatus(MANAGEMENT_STATUS, "management", use_cases, fleet, locations),
        LocationStatus(use_cases, fleet, locations),
        Permissions(),
        Licensing(),
        *(EmptyCollection(resource) for resource in EMPTY),
    ]
    return Collections(writable=writable, readable=readable, clients=clients)
