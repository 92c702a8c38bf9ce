"""The management node's look at its own port: the chain that is sent, and what a strict client says of it."""

from contextlib import asynccontextmanager

from aiohttp import web

from manager.push.local import LocalNode
from manager.web.server import HttpsServer
from tests import pki
from tests.integration.agent_parts import ROOT, chained_bundle

_, ISSUER = pki.current_ca("Management")
NAME = "manager.example.com"


@asynccontextmanager
async def looked(bundle, *, name: str):
    """The management node after a start on this bundle, asked by this name."""
    server = HttpsServer(web.Application(), host="127.0.0.1", port=0)

    async def own_name():
        return name

    async def no_faults():
        return []

    await server.start()
    try:
        node = LocalNode(server, host="127.0.0.1", version="1", own_name=own_name, faults=no_faults)
        await node.resume(bundle.manifest, bundle.payloads)
        (seen,) = node.report(0.0).serving
        yield seen
    finally:
        await server.close()


async def test_the_chain_that_the_own_port_sends_is_counted():
    leaf = pki.current_leaf(ISSUER, [NAME])
    async with looked(chained_bundle(leaf, 1, chain=[ISSUER]), name=NAME) as seen:
        assert (seen.reason, seen.sent) == ("", 1)
    async with looked(chained_bundle(leaf, 1, chain=[]), name=NAME) as seen:
        assert seen.sent == 0


async def test_a_strict_client_is_asked_for_the_management_nodes_own_name():
    root, issuer = pki.current_ca("Asked")
    trusted = chained_bundle(pki.current_leaf(issuer, [NAME]), 1, chain=[issuer], trusts=root)
    async with looked(trusted, name=NAME) as seen:
        assert seen.strict_client == ""
    async with looked(trusted, name="other.example.com") as seen:
        assert "name" in seen.strict_client.lower()
    untrusted = chained_bundle(pki.current_leaf(issuer, [NAME]), 1, chain=[issuer], trusts=ROOT)
    async with looked(untrusted, name=NAME) as seen:
        assert seen.strict_client == "there is no way to a trusted root"
