"""The real API over a real store and fleet, behind the real HTTPS endpoint, without nodes on the network."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import aiohttp
from aiohttp import web
from argon2 import PasswordHasher

from common.api.codes import Role
from common.ids import MANAGEMENT_NODE, NodeName
from common.pki.certificate import decode
from common.runtime.ssh import generate_key
from common.runtime.supervise import Supervisor
from demo.run import trusting
from manager.api.app import ROOT
from manager.application import build_application
from manager.channel.keys import KeyRegistry
from manager.domain.renewal.records import ChallengeKind
from manager.fleet.compiler import Compiler
from manager.fleet.fleet import Fleet
from manager.http.health import Health
from manager.http.metrics import Metrics, Sources
from manager.http.proxies import Proxies
from manager.http.server import HttpsServer
from manager.store.inventory import Inventories
from manager.store.meta import HOST_KEY
from manager.store.store import Store
from manager.usecases import passwords
from manager.usecases.context import Context
from manager.usecases.nodes import JoinFacts
from manager.usecases.renewal.ports import Cas, wake_nobody
from manager.usecases.usecases import UseCases
from manager.usecases.users import UserUseCases
from manager.usecases.workers import Workers
from manager.web import site
from manager.web.static import StaticFiles
from tests import pki
from tests.fakes.fleet import FakeFleet
from tests.fakes.workers import InPlace
from tests.https import https_server
from tests.integration.leaks import Leaks
from tests.store_template import Template

PASSWORD = "a-long-enough-password"
QUICK_HASHER = partial(PasswordHasher, time_cost=1, memory_cost=8, parallelism=1)
"""Argon2 as it is takes 0.2 s for each of the users that every test begins with."""
USERS = {role: role.value.replace("-", "") for role in Role}


async def _fill(store: Store) -> None:
    context = Context(
        store=store,
        inventories=Inventories(store, []),
        fleet=FakeFleet(),
        workers=InPlace(),
        own_node=MANAGEMENT_NODE,
        clock=time.time,
    )
    with patch.object(passwords, "new_hasher", QUICK_HASHER):
        users = UserUseCases(context)
    for role, name in USERS.items():
        await users.add(name, role=role, password=PASSWORD, actor="test")
    # every store that was initialised has one
    await store.meta.secret_set(HOST_KEY, generate_key())


TEMPLATES = site._templates(StaticFiles())
"""Each is compiled at its first use, which takes most of the time that a page takes: once for all managers of a test run."""

STORE_WITH_USERS = Template(_fill)


class ApiClient:
    """Calls the API as a user of some role; keeps every body that was answered."""

    def __init__(
        self,
        url: str,
        session: aiohttp.ClientSession,
        use_cases: UseCases,
        server: HttpsServer,
        fleet: Fleet,
        directory: Path,
        leaks: Leaks,
    ) -> None:
        self.leaks = leaks
        self.url = url
        self.directory = directory
        self.session = session
        self.use_cases = use_cases
        self.server = server
        self.fleet = fleet
        self.answers: list[bytes] = []

    @property
    def context(self) -> Context:
        """What the use cases work with."""
        return self.use_cases._context

    async def add_node(self, name: str) -> None:
        """Add a node as an entry only: no key is made for it."""
        record = await self.context.store.nodes.add(
            NodeName(name), "node", names=[f"{name}.example.test"], addresses=[], now_s=time.time()
        )
        self.fleet.node_added(record)

    async def call(
        self, method: str, path: str, body: Any = None, *, role: Role | None = Role.ADMINISTRATOR, **options
    ) -> tuple[int, Any]:
        headers = options.pop("headers", {})
        if role is not None:
            headers = {"Authorization": aiohttp.encode_basic_auth(USERS[role], PASSWORD), **headers}
        url = f"{self.url}{ROOT}/{path}"
        async with self.session.request(method, url, json=body, headers=headers, **options) as answer:
            data = await answer.read()
            self.answers.append(data)
            assert "Strict-Transport-Security" in answer.headers
            return (
                answer.status,
                await answer.json() if data and answer.content_type == "application/json" else data,
            )

    def raw(self, method: str, path: str, **options: Any) -> Any:
        """Make a request as an administrator, for who reads the answer by itself."""
        headers = {"Authorization": aiohttp.encode_basic_auth(USERS[Role.ADMINISTRATOR], PASSWORD)}
        return self.session.request(method, f"{self.url}{ROOT}/{path}", headers=headers, **options)


@asynccontextmanager
async def real_api(
    directory: Path,
    workers: Workers,
    *,
    watched: bool = True,
    proxies: Sequence[str] = (),
    cas: Cas | None = None,
) -> AsyncIterator[ApiClient]:
    """Serve the API. `watched`: at the end no answer and no line of the log may hold a private key or a passphrase."""
    leaks = Leaks()
    with leaks.listening():
        async with _serving(directory, workers, leaks, proxies, cas) as client:
            yield client
            if watched:
                await leaks.learn_store(client.context.store)
    if watched:
        leaks.check()


async def _present(*_keys: object) -> None:
    """Show any host key."""


def application_of(
    use_cases: UseCases, fleet: Fleet, inventories: Inventories, proxies: Sequence[str] = ()
) -> web.Application:
    """Compose APIs and pages as the manager does, with templates that are read once for all tests."""
    sources = Sources(
        version="test",
        nodes=fleet.counts,
        briefs=fleet.briefs,
        alarms=use_cases.alarms.active,
        inventory=inventories.current,
        renewals=use_cases.renewals.records,
        clock=time.time,
    )
    with patch.object(site, "_templates", lambda _static: TEMPLATES):
        return build_application(use_cases, fleet, Health([]), Metrics(sources), proxies=Proxies(proxies))


@asynccontextmanager
async def _serving(
    directory: Path, workers: Workers, leaks: Leaks, proxies: Sequence[str], cas: Cas | None
) -> AsyncIterator[ApiClient]:
    store = await STORE_WITH_USERS.copy(directory)
    anchor = pki.make_root("Anchor")
    node_directory = KeyRegistry({})
    inventories = Inventories(store, [decode(anchor.certificate_der)])
    fleet = Fleet(store, Compiler(store, inventories), node_directory, own_node=MANAGEMENT_NODE, epoch=1)
    await fleet.load()
    await store.host_keys.keep("steady", generate_key(), None)
    join = JoinFacts(addresses=lambda: ["192.0.2.1:9422"], fingerprint=lambda: "SHA256:x", lifetime_s=60)
    _, issuer = pki.current_ca("Own")
    own = pki.current_leaf(issuer, ["localhost"])
    async with Supervisor() as supervisor:
        with patch.object(passwords, "new_hasher", QUICK_HASHER):
            use_cases = UseCases(
                Context(
                    store=store,
                    inventories=inventories,
                    fleet=fleet,
                    workers=workers,
                    own_node=MANAGEMENT_NODE,
                    clock=time.time,
                ),
                join=join,
                cas=cas,
                wake=wake_nobody,
                challenges=(ChallengeKind.HTTP, ChallengeKind.DNS),
            )
        await use_cases.host_key.begin(_present)
        leaks.phrases.add(PASSWORD)
        app = application_of(use_cases, fleet, inventories, proxies)
        server = https_server(app)
        await server.start()
        supervisor.keep("https", server.run)
        await server.use_certificate(
            fullchain_pem=own.certificate_pem, private_key_pem=own.key_pem, parameters_pem=""
        )
        for name, loop in fleet.loops().items():
            supervisor.keep(name, loop)
        try:
            async with leaks.session(trusting()) as session:
                yield ApiClient(
                    f"https://127.0.0.1:{server.port}", session, use_cases, server, fleet, directory, leaks
                )
        finally:
            await server.close()
            await asyncio.sleep(0)
    await store.close()
