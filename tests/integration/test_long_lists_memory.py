"""Lists of thousands of certificates are never whole in memory, in the bytes that they allocate while they are sent."""

import gc
import tracemalloc
from pathlib import Path

import aiohttp
import pytest

from common.api.codes import Role
from common.pki.certificate import decode
from demo.run import trusting
from manager.http.pieces import AT_ONCE
from manager.pki.read.material import TlsMaterial
from manager.usecases.kept import new_certificate
from tests import pki
from tests.integration.api import PASSWORD, USERS
from tests.integration.infinity_api.platform import CERTIFICATES, ISSUER, Client, management

COUNT = 2400
PAGES_IN_MEMORY = 16
"""A page is there as rows, texts, objects, JSON and what is being written, which was 9 times its JSON; the whole list so made was 53 to 63."""


@pytest.fixture
async def client(tmp_path: Path):
    async with management(tmp_path, watched=False) as made:
        yield made


def materials(count: int) -> list[TlsMaterial]:
    key = pki.make_key()
    issuer, found = decode(ISSUER.certificate_der), []
    for number in range(count):
        made = pki.make_leaf(ISSUER, [f"node{number}.example.com"], key=key)
        found.append(
            TlsMaterial(
                leaf=decode(made.certificate_der),
                chain=(issuer,),
                extras=(),
                private_key_pem=made.key_pem,
                parameters_pem="",
                certificate_text=made.certificate_pem + ISSUER.certificate_pem,
            )
        )
    return found


async def drain(client: Client, path: str) -> int:
    """Read an answer as it comes and keep none of it, as the session of other tests would; return its length."""
    login = aiohttp.encode_basic_auth(USERS[Role.ADMINISTRATOR], PASSWORD)
    tls = trusting()
    length = 0
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=tls)) as session,
        session.get(f"{client.api.url}{path}", headers={"Authorization": login}) as answer,
    ):
        assert answer.status == 200
        async for part in answer.content.iter_any():
            length += len(part)
    return length


@pytest.mark.slow
async def test_a_list_without_a_limit_takes_the_memory_of_some_pages_and_not_of_the_whole(
    client, record_property
):
    store = client.api.context.store
    await store.catalogue.keep([new_certificate(each) for each in materials(COUNT)], [], now_s=pki.NOW_S)
    path = f"{CERTIFICATES}?limit=0"
    # what is kept for the next list, as rows and decoded certificates are, is no part of an answer
    whole = await drain(client, path)
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        assert await drain(client, path) == whole
        peak = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    page = whole * AT_ONCE // COUNT
    record_property("peak_bytes", peak)
    record_property("page_bytes", page)
    assert peak < PAGES_IN_MEMORY * page
