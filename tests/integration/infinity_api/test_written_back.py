"""What was read can be written back unchanged, also of objects that were made through another door."""

from cryptography.hazmat.primitives.asymmetric import ec

from common.api.codes import KeyKind, Role
from manager.domain.callers import Maker
from manager.domain.model import NodeDescription
from manager.infinity_api.contract.description import Method
from manager.infinity_api.contract.index import RESOURCES
from manager.usecases.csrs import CsrChanges, KeyChoice
from tests import pki
from tests.integration.infinity_api.platform import Client, leaf, upload
from tests.oauth import public_pem

CHANGING = tuple(
    (resource, method)
    for resource in RESOURCES
    for method in (Method.PUT, Method.PATCH)
    # a request is patched with the CA's answer only
    if {method, Method.GET} <= resource.detail_methods
    and not (method is Method.PATCH and resource.patch_needs)
)


async def make_through_other_doors(client: Client) -> None:
    """Make objects of every kind that another door makes, with as little as it needs and as much as it takes."""
    nodes = client.api.use_cases.nodes
    await nodes.add("conf1", NodeDescription(names=[], addresses=[]), maker=Maker(), actor="ada")
    described = NodeDescription(names=["h" * 63 + ".example.test", "alias"], addresses=["2001:db8::1"])
    await nodes.add("n" * 63, described, maker=Maker(), actor="ada")
    await client.api.call("POST", "certificates", upload(leaf("conf1.example.test")))
    root, _ = pki.current_ca("Elsewhere")
    await client.api.call("POST", "trusted-cas", {"pem": root.certificate_pem})
    await client.api.use_cases.csrs.create(
        replaces=None,
        changes=CsrChanges(alt_names=["conf1.example.test"]),
        key=KeyChoice(kind=KeyKind.RSA2048),
        actor="ada",
    )
    await client.api.use_cases.clients.add(
        "robot",
        role=Role.OPERATOR,
        public_key=public_pem(ec.generate_private_key(ec.SECP256R1())),
        actor="ada",
    )


async def test_what_was_read_can_be_written_back(client: Client):
    await make_through_other_doors(client)
    refused = []
    for resource, method in CHANGING:
        for shown in (await client.get(resource.path))["objects"]:
            answer = await client.call(method.value.upper(), shown["resource_uri"], shown)
            if answer.status != (204 if method is Method.PUT else 202):
                refused.append((resource.name, method, answer.body))
            assert await client.get(shown["resource_uri"]) == shown
    assert refused == []
