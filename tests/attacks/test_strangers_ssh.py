"""Strangers at the nodes' channel: whatever they park, flood or hold, honest nodes and pages are served."""

import asyncio

from tests.attacks.ground import LOG_MAX_BYTES, STRANGERS, Ground, ground_of_module, holds
from tests.attacks.times import BOUND_MS, print_times

pytestmark = STRANGERS
there = ground_of_module(descriptors=256)


async def test_logins_to_join_that_stay_take_neither_descriptors_nor_places(there: Ground):
    await holds(there, "parked+mute", 300, addresses=60)


async def test_silent_peers_keep_no_honest_node_out(there: Ground):
    await holds(there, "silent+dawdling", 512, addresses=8)


async def test_floods_from_logins_to_join_disturb_nobody(there: Ground):
    await holds(there, "rekeying+opening+knocking", 24, addresses=24)


async def test_key_exchanges_from_a_known_address_disturb_nobody(there: Ground):
    await holds(there, "greeting+rekeying", 128, addresses=1, network="127.10", again_s=0)


async def test_silent_peers_that_come_back_at_once_keep_no_new_address_out(there: Ground, record_property):
    quiet = await there.newcomers(5)
    async with there.attacked("silent", 500, addresses=500, again_s=0):
        during = await there.newcomers(20)
    print_times("new addresses", quiet, during)
    record_property("refused", len(during.refused))
    assert during.refused == []
    afterwards = await there.newcomers(5)
    assert during.median_ms <= 8 * max(BOUND_MS, quiet.median_ms, afterwards.median_ms)


async def test_a_full_descriptor_table_costs_neither_cpu_nor_log(there: Ground):
    """Even if something else takes all descriptors of the process, accepting rests."""
    await there.pages(1)
    log_before = there.log_bytes()
    there.take_descriptors()
    async with there.attacked("silent+no_hello", 64, addresses=8):
        cpu_before = there.cpu_s()
        await asyncio.sleep(5)
        spent_s, written = there.cpu_s() - cpu_before, there.log_bytes() - log_before
    there.give_descriptors()
    print(f"5 s without a descriptor: {spent_s:.2f} s of CPU, {written / 1024:.0f} KiB of log")
    assert written < LOG_MAX_BYTES
    assert spent_s < 1.0
    assert (await there.pages(3)).refused == []
