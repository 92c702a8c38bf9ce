"""Two managers with real daemons: the second joins the first one's store, and both serve it at once until one is stopped."""

import asyncio
import re
import shutil

import pytest

from common.ids import fingerprint_of
from demo.run import trusting
from demo.site import Site
from manager.store.sealing import KEK_FILE
from tests.postgres import NEEDED, Cluster
from tests.system.beside import LOG, Pair, commands, log_of, stop, two_managers, until
from tests.system.fleet import RealFleet, reloads

DRAIN_S = 2
"""How long the manager that is stopped in this test goes on serving."""

SERVE = ("certcast-manager", "serve", "--https", "127.0.0.1:0", "--ssh", "127.0.0.1:0", "--data")


async def served(site: Site) -> str:
    """Return the fingerprint of the certificate that a manager shows."""
    context = trusting()
    _, writer = await asyncio.open_connection("127.0.0.1", site.https, ssl=context)
    der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    return fingerprint_of(der)


async def own_fingerprint(site: Site) -> str:
    return (await site.run("certcast-manager", "fingerprint", "--data", str(site.data))).strip()


async def refused_to_join(pair: Pair) -> None:
    first, second = pair.first.site, pair.second.site
    token = (await first.run("certcast-manager", "cluster-token", "--data", str(first.data))).strip()
    other = first.directory / "other"
    other.mkdir(mode=0o700)
    (other / "notes.txt").write_text("mine")
    for data, given, words in (
        (other, token, "is not empty: it has 'notes.txt'"),
        (second.data, token, "is that of manager 'management-2' already"),
        (first.directory / "new", "certcast1.abc", "a manager's token begins with"),
    ):
        with pytest.raises(RuntimeError, match=re.escape(words)) as caught:
            await second.run(
                *("certcast-manager", "join-cluster", "--token-stdin", "--data", str(data)), stdin=given
            )
        assert token not in str(caught.value)
    with pytest.raises(RuntimeError, match="one of this machine only"):
        await first.run("certcast-manager", "cluster-token", "--with-database", "--data", str(first.data))


async def refused_to_serve_or_move(pair: Pair, *serving: RealFleet) -> None:
    """A copy of a manager's directory is refused while that serves, and so is it to move the store while any does."""
    for each in serving:
        site = each.site
        copied = shutil.copytree(site.data, site.directory / "copied")
        with pytest.raises(RuntimeError) as caught:
            await site.run(*SERVE, str(copied))
        assert f"is served as manager '{pair.node_of(each)}' already, by another process" in str(caught.value)
        with pytest.raises(RuntimeError, match="stop every manager that serves it first"):
            await site.run("certcast-manager", "migrate-store", "--to", "sqlite", "--data", str(site.data))
        shutil.rmtree(copied)


async def serves_each_others(pair: Pair, node: str) -> None:
    """What is uploaded at either is served by a node that one of them has."""
    for at in (pair.first, pair.second):
        leaf = await pair.upload(at, node)
        for asked in (pair.first, pair.second):
            await asked.until_served(leaf, node)


async def sees_both(manager: RealFleet) -> None:
    """A manager shows both management nodes as connected, and in sync."""
    await manager.until(
        lambda nodes: all(
            nodes[name]["kind"] == "management"
            and nodes[name]["connected_at_s"]
            and nodes[name]["state"] == "in_sync"
            for name in ("management", "management-2")
        )
    )


@pytest.mark.timeout(900)
@NEEDED
@pytest.mark.services("nginx", "postgres", "root")
async def test_a_second_manager_serves_beside_the_first_and_takes_its_nodes_when_it_stops(
    cluster: Cluster, monkeypatch
):
    monkeypatch.setenv("CERTCAST_MANAGER_DRAIN_SECONDS", str(DRAIN_S))
    async with two_managers(cluster, "second_manager", monkeypatch) as pair:
        first, second = pair.first, pair.second
        assert "manager 'management-2' now" in pair.said
        assert (second.site.data / KEK_FILE).read_bytes() == (first.site.data / KEK_FILE).read_bytes()
        modes = {path.stat().st_mode & 0o077 for path in (second.site.data, *second.site.data.iterdir())}
        assert modes == {0}
        assert [node for _, node in await pair.members()] == ["management", "management-2"]
        for each in (first, second):
            await sees_both(each)
            assert await served(each.site) == await own_fingerprint(each.site)
        assert await served(first.site) != await served(second.site)

        node = await first.site.add_node("n1")
        await serves_each_others(pair, "n1")
        await refused_to_join(pair)
        await refused_to_serve_or_move(pair, first, second)
        with pytest.raises(RuntimeError, match="serves; stop it first"):
            await first.api.call("DELETE", "nodes/management-2")

        # whichever has the node stops; what the other one then has it keeps, and back
        for _ in range(2):
            await first.until(lambda nodes: set(pair.addresses) <= set(nodes["n1"]["manager_addresses"]))
            holder = await pair.holder("n1")
            assert holder is not None
            other, before = pair.other(holder), reloads(node)
            await stop(holder.site)
            assert "manager.draining" in log_of(holder.site)
            await until(lambda: pair.holder("n1"), lambda found, other=other: found is other)
            assert [name for _, name in await pair.members()] == [pair.node_of(other)]
            await other.until_served(await pair.upload(other, "n1"), "n1")
            assert reloads(node) == before + 1
            await refused_to_serve_or_move(pair, other)
            await holder.site.serve()
            await pair.until_both_ready()
            await serves_each_others(pair, "n1")

        await stop(second.site)
        await first.until(lambda nodes: not nodes["management-2"]["connected_at_s"])
        await first.site.run(*commands()["remove"].split(), "--force")
        await first.until(lambda nodes: "management-2" not in nodes)
        logs = "".join(
            path.read_text() for path in (*first.site.directory.glob("*.log"), second.site.directory / LOG)
        )
        kek = (first.site.data / KEK_FILE).read_bytes()
        assert kek.hex() not in logs
        assert repr(kek)[2:-1] not in logs
