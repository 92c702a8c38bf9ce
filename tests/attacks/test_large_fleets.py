"""With a large fleet no page and no list keeps the event loop for 50 ms, nor costs more than what it shows."""

import pytest

from bench.lists import PATHS, fill_fleet, get, sign_in
from manager.usecases.workers import Workers
from tests.attacks.watchdog import watching
from tests.integration.api import real_api

NODES = 1500


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_nothing_keeps_the_loop_for_50_ms_whichever_page_or_list_of_a_large_fleet_is_asked_for(
    tmp_path,
):
    async with Workers() as workers, real_api(tmp_path, workers, watched=False) as api:
        await fill_fleet(api, NODES)
        headers = {"Cookie": await sign_in(api)}
        # what is read once after a change is not what is measured
        await get(api, "/certificates/by-node", headers)
        with watching() as watchdog:
            for name, path in PATHS.items():
                watchdog.doing = name
                await get(api, path.format(last=NODES // 100), headers)
    print(watchdog.report())
    assert watchdog.too_slow() == []
