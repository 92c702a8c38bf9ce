"""A real manager that is started again, and a fleet behind one address that comes back to it at once."""

import re
import time

import pytest

from bench.full.estate import Estate, estate

FLEET = 1200
"""More than a fixed rate of 64 logins a second lets in before the first agents give up."""


async def refused(ours: Estate) -> float:
    """Return what the nodes' channel has refused since the manager's start."""
    found = re.search(r"^certcast_channel_refused_total ([0-9.]+)$", await ours.metrics(), re.MULTILINE)
    assert found is not None
    return float(found.group(1))


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_a_fleet_that_lost_its_manager_is_back_and_in_sync_and_nobody_was_refused(record_property):
    async with estate(FLEET) as ours:
        await ours.serve()
        await ours.bring_nodes()
        await ours.ask("connected", since_s=0.0, count=FLEET)
        await ours.until_in_sync()
        await ours.stop()
        since_s = time.monotonic()
        await ours.serve()
        cpu_before_s = ours.cpu_s()
        moments = await ours.ask("connected", since_s=since_s, count=FLEET)
        cpu_s = ours.cpu_s() - cpu_before_s
        record_property("last_s", round(moments[-1] - since_s, 1))
        record_property("cpu_ms_for_each", round(1000 * cpu_s / FLEET, 2))
        assert len(moments) == FLEET
        assert await refused(ours) == 0
        await ours.until_in_sync()
