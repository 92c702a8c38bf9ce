"""Managers over one store as people meet them: use cases, APIs and pages behind a real HTTPS endpoint, each with its own memory."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import aiohttp
import pytest

from common.api.codes import Role
from common.ids import MANAGEMENT_NODE, NodeName
from common.runtime.supervise import Supervisor
from demo.run import trusting
from manager.api.app import ROOT
from manager.domain.renewal.records import ChallengeKind
from manager.store.address import ServerAddress
from manager.store.place import StorePlace
from manager.store.sealing import Keyring
from manager.store.store import Store
from manager.usecases import passwords
from manager.usecases.context import Context
from manager.usecases.renewal.ports import NoCas, wake_nobody
from manager.usecases.usecases import UseCases
from tests import pki
from tests.fakes.workers import InPlace
from tests.https import https_server
from tests.integration.api import PASSWORD, QUICK_HASHER, application_of
from tests.integration.fleet.parts import Parts, running_over
from tests.integration.serving import serving
from tests.patience import PATIENCE_S
from tests.postgres import KEK

NAME = "ada"


class Manager:
    """One of them."""

    def __init__(self, parts: Parts, use_cases: UseCases, session: aiohttp.ClientSession, url: str) -> None:
        self.parts = parts
        self.use_cases = use_cases
        self.session = session
        self.url = url

    @property
    def store(self) -> Store:
        return self.parts.store

    async def status(self, path: str, *, password: str = PASSWORD, **headers: str) -> int:
        """Ask as a program does that sends its password each time, unless other credentials are given."""
        given = headers or {"Authorization": aiohttp.encode_basic_auth(NAME, password)}
        async with self.session.get(f"{self.url}{ROOT}/{path}", headers=given) as answer:
            await answer.read()
            return answer.status

    def ask(self, method: str, path: str, **options: Any) -> Any:
        headers = {"Authorization": aiohttp.encode_basic_auth(NAME, PASSWORD), **options.pop("headers", {})}
        return self.session.request(method, f"{self.url}{ROOT}/{path}", headers=headers, **options)


@asynccontextmanager
async def manager_over(
    address: ServerAddress, directory: Path, *, node: NodeName = MANAGEMENT_NODE
) -> AsyncIterator[Manager]:
    """Run one, whose clocks are those that the manager gives its use cases."""
    store = await Store.open(StorePlace(directory, address), Keyring(KEK))
    try:
        async with running_over(store) as parts, _served(parts, node) as manager:
            yield manager
    finally:
        await store.close()


@asynccontextmanager
async def _served(parts: Parts, node: NodeName) -> AsyncIterator[Manager]:
    fleet, inventories = parts.fleet, parts.inventories
    context = Context(
        store=parts.store,
        inventories=inventories,
        fleet=fleet,
        workers=InPlace(),
        own_node=node,
        clock=parts.store.clock,
    )
    with patch.object(passwords, "new_hasher", QUICK_HASHER):
        use_cases = UseCases(context, cas=NoCas(), wake=wake_nobody, challenges=tuple(ChallengeKind))
    fleet.follower.observers.append(use_cases.content_changed_elsewhere)
    fleet.follower.alarm_observers.append(use_cases.alarms.changed_elsewhere)
    app = application_of(use_cases, fleet, inventories)
    _, issuer = pki.current_ca("Own")
    own = pki.current_leaf(issuer, ["localhost"])
    connector = aiohttp.TCPConnector(ssl=trusting(), limit=0)
    jar = aiohttp.CookieJar(unsafe=True)
    async with (
        serving(https_server(app)) as server,
        Supervisor() as supervisor,
        aiohttp.ClientSession(connector=connector, cookie_jar=jar) as session,
    ):
        await server.use_certificate(
            fullchain_pem=own.certificate_pem, private_key_pem=own.key_pem, parameters_pem=""
        )
        supervisor.keep("tallies", parts.store.tallies.run)
        yield Manager(parts, use_cases, session, f"https://127.0.0.1:{server.port}")
        supervisor.stop()


async def add_ada(manager: Manager) -> None:
    await manager.use_cases.users.add(NAME, role=Role.ADMINISTRATOR, password=PASSWORD, actor="console")


async def until(done: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not done():  # noqa: ASYNC110 - looks on
            await asyncio.sleep(0.01)


def hears(manager: Manager) -> bool:
    """Whether it hears what the others count."""
    return manager.store.tallies._believed._since_s < float("inf")


@pytest.fixture
async def one(store_database: ServerAddress, tmp_path: Path) -> AsyncIterator[Manager]:
    async with manager_over(store_database, tmp_path) as manager:
        await add_ada(manager)
        yield manager


@pytest.fixture
async def two(one: Manager, store_database: ServerAddress, tmp_path: Path) -> AsyncIterator[Manager]:
    async with manager_over(store_database, tmp_path) as manager:
        for each in (one, manager):
            await until(lambda each=each: hears(each))
        yield manager
