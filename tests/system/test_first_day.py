"""The first day of a node, by the recipes: it joins and gets its first bundle while none of its services runs."""

import json

import pytest

from demo.site import DemoNode, free_port
from tests import pki
from tests.system.fleet import real_fleet
from tests.system.recipe_services import real_service

_, ISSUER = pki.current_ca("First Day")


async def join(site, name: str, directory, *recipes: str) -> DemoNode:
    """Add a node and let it join, with these recipes as its services."""
    output = await site.run(
        "certcast", "node", "add", name, "--name", f"{name}.demo.test", "--address", "127.0.0.1", "--json"
    )
    node = DemoNode(
        name=name, directory=directory, data=directory / "data", port=free_port(), health=free_port()
    )
    (directory / "services.toml").write_text("\n".join(recipes))
    await site.run("certcast-nodeagent", "join", json.loads(output)["join_token"], "--data", str(node.data))
    await site.start_agent(node)
    return node


def waiting(node) -> dict[str, str]:
    return {one["consumer"]: one["reason"] for one in node["waiting"]}


@pytest.mark.services("root", "nginx", "kamailio", "kamcmd")
async def test_a_node_that_joins_before_its_services_run_serves_as_soon_as_they_do_and_nobody_forces_a_push():
    async with real_fleet() as fleet:
        home = fleet.site.directory / "first"
        home.mkdir()
        fleet.site.directory.chmod(0o755)
        async with (
            real_service("nginx", home / "data") as web,
            real_service("kamailio", home / "data") as sip,
        ):
            await join(fleet.site, "first", home, web.recipe(), sip.recipe())
            first = await fleet.upload(
                pki.current_leaf(ISSUER, ["first.demo.test"]), ISSUER.certificate_pem, ["first"]
            )
            # the temporary certificate waits for its services, too
            await fleet.until(
                lambda nodes: (
                    nodes["first"]["state"] == "reload_waiting"
                    and nodes["first"]["slots"]["server"]["applied"] == first
                )
            )
            shown = await fleet.node("first")
            assert waiting(shown) == {"nginx": "service", "kamailio": "service"}
            assert (shown["slots"]["server"]["applied"], shown["last_failed"]) == (first, None)
            assert (sip.copies / "kamailio.pem").exists()

            await web.start()
            await fleet.until(lambda nodes: waiting(nodes["first"]) == {"kamailio": "service"}, within_s=30)
            await sip.start()
            await fleet.until_served(first, "first")
            assert (await fleet.node("first"))["push"] == shown["push"]

            # one is down for maintenance when a renewal comes: the other goes on
            await sip.stop()
            second = await fleet.upload(
                pki.current_leaf(ISSUER, ["first.demo.test"]), ISSUER.certificate_pem, ["first"]
            )
            await fleet.until(
                lambda nodes: any(
                    (one["consumer"], one["leaf"]) == ("nginx", second) for one in nodes["first"]["serving"]
                )
            )
            shown = await fleet.node("first")
            assert (shown["slots"]["server"]["applied"], shown["last_failed"]) == (second, None)
            await sip.start()
            await fleet.until_served(second, "first")
            assert (await fleet.node("first"))["push"] == shown["push"]
