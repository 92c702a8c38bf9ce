"""A manager whose PostgreSQL server stands still: pages, the API and health all say so while whoever asks still looks."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator

import aiohttp
import pytest

from demo.site import Site
from manager.store.postgresql import LIMITS
from tests.patience import PATIENCE_S
from tests.postgres import NEEDED, Cluster, made_cluster

NODES = "/api/certcast/v1/nodes"
CERTIFICATES = "/api/certcast/v1/certificates"

pytestmark = [NEEDED, pytest.mark.timeout(900)]


class Machine(Site):
    """A manager's machine with its store on a server."""

    database = ""

    @property
    def environment(self) -> dict[str, str]:
        return {**super().environment, "CERTCAST_MANAGER_DATABASE": self.database}


@pytest.fixture
def server() -> Iterator[Cluster]:
    with made_cluster() as cluster:
        cluster.make_database("c")
        yield cluster


@pytest.fixture
async def machine(server: Cluster) -> AsyncIterator[Machine]:
    made = Machine()
    made.database = server.url("c")
    await made.start_manager()
    yield made
    server.resume()
    await made.close()


async def test_pages_and_the_api_say_that_the_server_stands_still_and_health_which(
    machine: Machine, server: Cluster, record_property
):
    """Also to who asks right after somebody was answered, over the very connection that was used."""
    session = aiohttp.ClientSession(
        machine.url,
        headers={
            "Authorization": aiohttp.encode_basic_auth("admin", machine.environment["CERTCAST_PASSWORD"])
        },
        connector=aiohttp.TCPConnector(ssl=False),
    )

    async def get(path: str) -> tuple[int, str]:
        begun_s = time.monotonic()
        async with session.get(path) as answer:
            text = await answer.text()
        record_property(f"{path}: {answer.status} within s", round(time.monotonic() - begun_s, 1))
        return answer.status, text

    async with session, asyncio.timeout(4 * PATIENCE_S):
        await until_ready(session)
        assert (await get(NODES))[0] == 200
        server.pause()
        for _ in range(2):
            # without the bound, each of these waits for what a statement may take
            async with asyncio.timeout(LIMITS.answer_s - 1):
                answers = await asyncio.gather(get(NODES), get(CERTIFICATES), get("/health/ready"))
            assert [status for status, _ in answers[:2]] == [503, 503]
            assert all(
                "did not answer in time" in text or "no answer within" in text for _, text in answers[:2]
            )
        # the first answer may be that of a second ago
        assert (answers[2][0], "the store has not answered for 2 s" in answers[2][1]) == (503, True)
        server.resume()
        await until_ready(session)
        assert (await get(NODES))[0] == 200


async def until_ready(session: aiohttp.ClientSession) -> None:
    while True:
        with contextlib.suppress(OSError, aiohttp.ClientError):
            async with session.get("/health/ready") as answer:
                if answer.status == 200:
                    return
        await asyncio.sleep(0.1)
