"""`certcast-nodeagent check` against a real agent and a real manager."""

import asyncio
import json
import sys

import pytest

from demo.site import DemoNode
from tests.system.fleet import MINUTE_S, real_fleet


async def check(node: DemoNode) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "nodeagent", "check", "--health", f"http://127.0.0.1:{node.health}"),
        stdout=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(MINUTE_S):
        out, _ = await process.communicate()
    return process.returncode, out.decode()


async def alarmed(api) -> list[str]:
    """Wait until the manager warns of a configuration; return whose."""
    async with asyncio.timeout(MINUTE_S):
        while True:
            alarms = (await api.call("GET", "alarms"))["alarms"]
            if found := [each["node"] for each in alarms if each["kind"] == "services_invalid"]:
                return found
            await asyncio.sleep(0.2)


async def until(done, node: DemoNode) -> str:
    async with asyncio.timeout(MINUTE_S):
        while True:
            code, line = await check(node)
            if done(code, line):
                return line
            await asyncio.sleep(0.1)


@pytest.mark.services("nginx")
async def test_the_check_and_the_manager_tell_a_mistake_and_the_check_a_node_that_was_removed():
    async with real_fleet() as fleet:
        node = await fleet.site.add_node("web")
        await until(lambda code, _: code == 0, node)

        (node.directory / "services.toml").write_text("[[consumr]]\n")
        fleet.site.processes["web.log"].send_signal(1)
        line = await until(lambda code, _: code == 1, node)
        assert (
            f"{node.directory}/services.toml: line 1: consumr: no such key; did you mean 'consumer'?" in line
        )
        await fleet.until(
            lambda nodes: "did you mean 'consumer'?" in json.dumps(nodes["web"].get("configuration", []))
        )
        assert await alarmed(fleet.api) == ["web"]

        await fleet.api.call("DELETE", "nodes/web")
        line = await until(lambda code, line: code == 2 and "does not know this node's key" in line, node)
        assert line.startswith("CERTCAST CRITICAL: manager: ")
