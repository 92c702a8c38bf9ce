"""A manager moves to another address and replaces its host key, is killed on the way, and loses no node."""

import asyncio

import pytest

from demo.site import free_port
from tests import pki
from tests.patience import PATIENCE_S, ended
from tests.system.fleet import RealFleet, real_fleet

ROOT, INTERMEDIATE = pki.current_ca("System")


async def new_leaf(fleet: RealFleet) -> str:
    made = pki.current_leaf(INTERMEDIATE, ["conf.example.test"])
    return await fleet.upload(made, INTERMEDIATE.certificate_pem, ["n1", "n2"])


async def kill(fleet: RealFleet, log: str) -> None:
    process = fleet.site.processes.pop(log)
    process.kill()
    assert await ended(process) == -9


async def start_again(fleet: RealFleet) -> None:
    await kill(fleet, "manager.log")
    await fleet.site.serve()
    await fleet.until_ready()


async def until_known(fleet: RealFleet, *names: str, addresses: list[str]) -> None:
    await fleet.until(
        lambda nodes: all(
            nodes[name]["connected_at_s"] and nodes[name]["manager_addresses"] == addresses for name in names
        )
    )


async def until_confirmed_but_for(fleet: RealFleet, *names: str) -> None:
    """Wait until the others know both host keys."""
    others = [name for name in ("n1", "n2") if name not in names]
    await fleet.until(lambda nodes: all(len(nodes[name]["manager_host_keys"]) == 2 for name in others))
    assert (await fleet.api.call("GET", "host-key"))["unconfirmed"] == list(names)


async def until_proven_but_for(fleet: RealFleet, *names: str) -> None:
    """Wait until the others have come back since another host key is presented."""
    async with asyncio.timeout(PATIENCE_S):
        while (await fleet.api.call("GET", "host-key"))["unconfirmed"] != list(names):  # noqa: ASYNC110 - looks on, as an operator would
            await asyncio.sleep(0.1)


@pytest.mark.timeout(300)
@pytest.mark.services("nginx")
async def test_a_manager_that_moves_and_replaces_its_host_key_keeps_its_nodes():
    async with real_fleet() as fleet:
        site = fleet.site
        await site.add_node("n1")
        n2 = await site.add_node("n2")
        await fleet.until_served(await new_leaf(fleet), "n1", "n2")

        # announced, confirmed, moved; one node is away meanwhile
        old, port = f"127.0.0.1:{site.ssh}", free_port()
        new = f"127.0.0.1:{port}"
        site.advertise = (old, new)
        await start_again(fleet)
        await until_known(fleet, "n1", "n2", addresses=[old, new])
        await kill(fleet, "n2.log")
        site.ssh, site.advertise = port, (new,)
        await start_again(fleet)
        await until_known(fleet, "n1", addresses=[new])
        await site.start_agent(n2)
        await until_known(fleet, "n1", "n2", addresses=[new])
        await fleet.until_served(await new_leaf(fleet), "n1", "n2")

        # another host key: killed after each step, and the same node away from before it was announced
        await kill(fleet, "n2.log")
        await fleet.api.call("POST", "host-key/announce", {})
        await start_again(fleet)
        await until_confirmed_but_for(fleet, "n2")
        with pytest.raises(RuntimeError, match="n2"):
            await fleet.api.call("POST", "host-key/switch", {})
        await fleet.api.call("POST", "host-key/switch?force=true", {})
        # n1 is sent back, and has seen the key that is presented then
        await until_proven_but_for(fleet, "n2")
        await start_again(fleet)
        with pytest.raises(RuntimeError, match="n2"):
            await fleet.api.call("POST", "host-key/drop", {})
        await site.start_agent(n2)
        await until_confirmed_but_for(fleet)
        dropped = await fleet.api.call("POST", "host-key/drop", {})
        assert (dropped["state"], dropped["other_fingerprint"]) == ("steady", "")
        await start_again(fleet)
        await fleet.until(lambda nodes: all(len(nodes[n]["manager_host_keys"]) == 1 for n in ("n1", "n2")))
        await fleet.until_served(await new_leaf(fleet), "n1", "n2")
