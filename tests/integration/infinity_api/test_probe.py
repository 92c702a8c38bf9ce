"""The management node's look at its own port: the chain that is sent, and what a strict client says of it."""

import time
from contextlib import asynccontextmanager

from aiohttp import web

from common.ids import MANAGEMENT_NODE
from manager.fleet.local import LocalNode
from manager.fleet.own_port import OwnPort
from tests import pki
from tests.https import https_server
from tests.integration.agent_parts import ROOT, chained_bundle, command
from tests.integration.serving import serving

_, ISSUER = pki.current_ca("Management")
NAME = "manager.example.com"


@asynccontextmanager
async def management_node(name: str = NAME, *, ahead_s: float = 0.0):
    """The management node, whose port is asked by this name; the store's clock is ahead of this machine's."""
    server = https_server(web.Application())

    async def own_name():
        return name

    async def no_faults():
        return []

    async with serving(server):
        port = OwnPort(server, host="127.0.0.1", own_name=own_name)
        node = LocalNode(
            port, name=MANAGEMENT_NODE, version="1", faults=no_faults, clock=lambda: time.time() + ahead_s
        )
        yield node


@asynccontextmanager
async def looked(bundle, *, name: str):
    """What is seen of the management node after a start on this bundle."""
    async with management_node(name) as node:
        await node.resume(bundle.manifest, bundle.payloads)
        (seen,) = node.report(0.0).serving
        yield seen


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


async def test_a_certificate_that_begins_in_four_minutes_waits_and_the_port_keeps_the_valid_one():
    now_s = int(time.time())
    async with management_node() as node:
        first = chained_bundle(pki.current_leaf(ISSUER, [NAME]), 1, chain=[ISSUER])
        await node.resume(first.manifest, first.payloads)
        later = chained_bundle(pki.make_leaf(ISSUER, [NAME], not_before_s=now_s + 240), 2, chain=[ISSUER])
        await node._install(command(later))
        report = node.report(time.time())
        assert (report.last_failed.reason, report.last_failed.result) == ("not_yet_valid", "rejected")
        assert 0 < report.last_failed.retry_after_s <= 61
        assert report.serving[0].leaf == first.manifest.slots["server"].leaf


async def test_a_certificate_is_valid_or_not_by_the_clock_of_the_store_whatever_this_machine_says():
    now_s = int(time.time())
    async with management_node(ahead_s=300) as node:
        first = chained_bundle(pki.current_leaf(ISSUER, [NAME]), 1, chain=[ISSUER])
        await node.resume(first.manifest, first.payloads)
        begun = chained_bundle(pki.make_leaf(ISSUER, [NAME], not_before_s=now_s + 240), 2, chain=[ISSUER])
        await node._install(command(begun))
        assert node.manifest == begun.manifest


async def test_a_trust_store_that_shrinks_does_not_keep_a_new_certificate_from_the_own_port():
    async with management_node() as node:
        first = chained_bundle(pki.current_leaf(ISSUER, [NAME]), 1, chain=[ISSUER], anchors=9)
        await node.resume(first.manifest, first.payloads)
        second = chained_bundle(pki.current_leaf(ISSUER, [NAME]), 2, chain=[ISSUER], anchors=1)
        await node._install(command(second))
        assert node.manifest == second.manifest
