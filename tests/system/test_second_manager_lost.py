"""Two managers with real daemons, of which one is killed or stands still: its node is in sync through the other, and nothing is done twice."""

import asyncio
import signal
import time

import aiohttp
import pytest

from common.ids import fingerprint_of
from tests import pki
from tests.patience import PATIENCE_S
from tests.postgres import NEEDED, Cluster
from tests.system.beside import INTERMEDIATE, Pair, kill, log_of, send, two_managers, until
from tests.system.fleet import RealFleet, reloads


async def generations(pair: Pair) -> int:
    """Return how many generations were ever published to the node."""
    found = await pair.sql(
        "SELECT max(generation) FROM generation JOIN node n ON n.id = node_id WHERE n.name = 'n1'"
    )
    return int(found)


async def settled(pair: Pair) -> None:
    """Wait until the node knows both managers, and is held by one of them."""
    await pair.first.until(lambda nodes: set(pair.addresses) <= set(nodes["n1"]["manager_addresses"]))
    await until(lambda: pair.holder("n1"), lambda found: found is not None)


@pytest.mark.timeout(900)
@NEEDED
@pytest.mark.services("nginx", "postgres", "root")
async def test_a_killed_manager_s_node_is_in_sync_through_the_other_and_reloads_once(
    cluster: Cluster, monkeypatch, record_property
):
    async with two_managers(cluster, "killed_manager", monkeypatch) as pair:
        node = await pair.first.site.add_node("n1")
        await pair.first.until_served(await pair.upload(pair.first, "n1"), "n1")
        took = []
        for _ in range(2):
            await settled(pair)
            holder = await pair.holder("n1")
            assert holder is not None
            other, before = pair.other(holder), reloads(node)
            leaf = await pair.upload(other, "n1")
            await kill(holder.site)
            killed_s = time.monotonic()
            await other.until_served(leaf, "n1")
            await until(lambda: pair.holder("n1"), lambda found, other=other: found is other)
            took.append(round(time.monotonic() - killed_s, 1))
            assert reloads(node) == before + 1
            # its lease ends, and what it did for all is done by the other one
            await until(
                pair.members, lambda found, other=other: [name for _, name in found] == [pair.node_of(other)]
            )
            await holder.site.serve()
            await pair.until_both_ready()
            assert {name for _, name in await pair.members()} == {"management", "management-2"}
        assert reloads(node) == before + 1
        print(f"in sync through the other one {took} s after the kill")  # noqa: T201
        record_property("in sync after a kill, in s", took)


@pytest.mark.timeout(900)
@NEEDED
@pytest.mark.services("nginx", "postgres", "root")
async def test_a_manager_that_slept_is_evicted_changes_nothing_and_begins_anew(cluster: Cluster, monkeypatch):
    async with two_managers(cluster, "slept_manager", monkeypatch) as pair:
        node = await pair.first.site.add_node("n1")
        await pair.first.until_served(await pair.upload(pair.first, "n1"), "n1")
        await settled(pair)
        holder = await pair.holder("n1")
        assert holder is not None
        other, before, published = pair.other(holder), reloads(node), await generations(pair)
        former = next(number for number, name in await pair.members() if name == pair.node_of(holder))

        made = pki.current_leaf(INTERMEDIATE, ["conf.example.test"])
        async with asyncio.timeout(3 * PATIENCE_S), asyncio.TaskGroup() as group:
            send(holder.site, signal.SIGSTOP)
            try:
                asked = group.create_task(is_accepted(holder, made))
                await until(pair.members, lambda found: former not in [number for number, _ in found])
                leaf = await pair.upload(other, "n1")
                await until(lambda: generations(pair), lambda found: found == published + 1)
            finally:
                send(holder.site, signal.SIGCONT)
        await pair.until_both_ready()
        # as the member that it was it keeps nothing; what it had not begun yet it may do as the one that it is now
        mine = fingerprint_of(made.certificate_der)
        is_kept = await pair.sql(f"SELECT count(*) FROM certificate WHERE fingerprint = '{mine}'") == "1"
        assert asked.result() in (is_kept, None)
        last, more = (mine, 2) if is_kept else (leaf, 1)
        for each in (other, holder):
            await each.until_served(last, "n1")
        assert await generations(pair) == published + more
        assert before + 1 <= reloads(node) <= before + more
        now = await until(pair.members, lambda found: len(found) == 2)
        assert {name: number for number, name in now}[pair.node_of(holder)] > former
        assert "member.lost" in log_of(holder.site)
        assert "member.expired" in log_of(other.site)
        await other.until_served(await pair.upload(holder, "n1"), "n1")


async def is_accepted(asked: RealFleet, made: pki.Made) -> bool | None:
    """Upload at a manager; return whether it took that, None if there was no answer."""
    try:
        await asked.upload(made, INTERMEDIATE.certificate_pem, ["n1"])
    except aiohttp.ClientError:
        return None
    except RuntimeError as refused:
        if "could not renew its lease in time" not in str(refused):
            raise
        return False
    return True
