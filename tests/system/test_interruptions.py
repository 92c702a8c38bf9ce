"""Killing the manager, an agent or the network loses nothing, and reloads nothing that did not change."""

import asyncio

import pytest

from tests import pki
from tests.patience import ended
from tests.system.fleet import RealFleet, real_fleet, reloads
from tests.system.proxy import Proxy

ROOT, INTERMEDIATE = pki.current_ca("System")


async def new_leaf(fleet: RealFleet, *names: str) -> str:
    made = pki.current_leaf(INTERMEDIATE, ["conf.example.test"])
    return await fleet.upload(made, INTERMEDIATE.certificate_pem, list(names))


async def kill(process: asyncio.subprocess.Process) -> None:
    process.kill()
    assert await ended(process) == -9


@pytest.mark.timeout(240)
@pytest.mark.services("nginx")
async def test_whatever_is_killed_every_node_reaches_what_is_desired_within_a_minute():
    async with Proxy() as proxy, real_fleet(advertise=f"127.0.0.1:{proxy.port}") as fleet:
        site = fleet.site
        proxy.target = site.ssh
        manager = site.processes["manager.log"]
        n1, n2 = await site.add_node("n1"), await site.add_node("n2")
        await fleet.until_served(await new_leaf(fleet, "n1", "n2"), "n1", "n2")

        # the manager, right after it acknowledged an upload
        leaf = await new_leaf(fleet, "n1", "n2")
        await kill(manager)
        manager = await site.serve()
        await fleet.until_ready()
        await fleet.until_served(leaf, "n1", "n2")

        # an agent, at several moments of an installation
        for pause_s in (0.45, 0.6, 0.8):
            agent = site.processes["n1.log"]
            leaf = await new_leaf(fleet, "n1", "n2")
            await asyncio.sleep(pause_s)
            await kill(agent)
            await fleet.until_served(leaf, "n2")
            await site.start_agent(n1)
            await fleet.until_served(leaf, "n1", "n2")

        # the network, while a change is made
        proxy.cut()
        leaf = await new_leaf(fleet, "n1", "n2")
        await asyncio.sleep(2)
        proxy.mend()
        await fleet.until_served(leaf, "n1", "n2")

        # and when nothing changed, nothing is reloaded
        before = reloads(n1), reloads(n2)
        await kill(site.processes["manager.log"])
        await site.serve()
        await kill(site.processes["n1.log"])
        await site.start_agent(n1)
        proxy.cut()
        proxy.mend()
        await fleet.until_ready()
        await fleet.until_served(leaf, "n1", "n2")
        assert (reloads(n1), reloads(n2)) == before
