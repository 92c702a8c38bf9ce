"""A manager with many certificates and one of everything else, and requests that it grants: what to attack where each route does its work.

Everything has the number 1 or the name `n1`; of what is deleted twice, by both APIs, there are two.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bench.catalogue import fill
from common.api.codes import Role
from common.ids import NodeName
from manager.api.app import ROUTES
from manager.domain.callers import Maker
from manager.domain.permissions import PROVISION
from tests import pki
from tests.attacks.principals import PUBLIC_KEY
from tests.attacks.test_deleted_at_once import DOORS
from tests.integration.api import PASSWORD, USERS, ApiClient
from tests.integration.certcast_api.renewing import ACCOUNT

CERTIFICATES = 120
NODES = [NodeName(f"n{number}") for number in range(12)]
NAME = "n1"
ASKED = {
    "subject": "CN=asked.example.test",
    "subject_alt_names": ["asked.example.test"],
    "private_key_type": "ECDSAP256",
}


@dataclass(frozen=True)
class Filled:
    """Numbers of what is there; `signed` answers the signing request."""

    signed: str
    certificate: int = 1
    account: int = 1


async def fill_everything(api: ApiClient) -> Filled:
    """Put everything there that a route can be about."""
    await fill(api, CERTIFICATES, NODES)
    requests = [await _made(api, "requests", ASKED) for _ in range(2)]
    account = await _made(api, "accounts", ACCOUNT)
    terms = {"account": account["id"], "names": ["renewed.example.test"], "nodes": [NAME]}
    await _made(api, "renewals", terms)
    actor = USERS[Role.ADMINISTRATOR]
    users, clients = api.use_cases.users, api.use_cases.clients
    await users.add(NAME, role=Role.OPERATOR, password=PASSWORD, actor=actor)
    await users.new_token(actor, label="ci", days=1, scope=None, actor=actor)
    await clients.add(NAME, role=Role.READ_ONLY, public_key=PUBLIC_KEY, actor=actor)
    role = await api.use_cases.roles.add("provisioning", [PROVISION], actor=actor)
    await clients.add_with_key("second", api_role_id=role, actor=actor)
    await api.use_cases.nodes.new_token(NodeName(NAME), maker=Maker(), actor=actor)
    await api.fleet.push([NodeName(NAME)], forced=False)
    return Filled(signed=pki.sign_request(pki.current_ca("Signing")[1], requests[0]["csr"]))


async def _made(api: ApiClient, what: str, body: Any) -> Any:
    status, answer = await api.call("POST", what, body)
    assert status == 201, answer
    return answer


OTHERS: Mapping[tuple[str, str], Any] = {
    ("POST", "certificates/download"): {"ids": [1]},
    ("POST", "certificates/delete"): {"ids": [CERTIFICATES]},
    ("POST", "trusted-cas/delete"): {"ids": [100]},
    ("POST", "alarms/acknowledge"): {"ids": [1]},
    ("POST", "push"): {"nodes": [NAME]},
    ("PUT", "users/{name}/role"): {"role": "read-only"},
}
"""What is granted at routes that take a body and are no doors to race through."""

GRANTED: Mapping[tuple[str, str], Callable[[Any], Any]] = {
    **{(method, path): body for method, path, body, *_ in DOORS},
    **{key: lambda _, body=body: body for key, body in OTHERS.items()},
}


def unstated() -> Iterator[tuple[str, str]]:
    """Return the routes that take a body and have none here."""
    for route in ROUTES:
        if route.body is not None and (route.method, route.path) not in GRANTED:
            yield route.method, route.path
