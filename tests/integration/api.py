"""The real API over a real store and fleet, behind the real HTTPS endpoint, without nodes on the network."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from common.pki.certificate import decode
from common.runtime.supervise import Supervisor
from manager.api.app import ROOT, build_api
from manager.api.routes import Api
from manager.domain.model import Role
from manager.operations.context import Context
from manager.operations.nodes import JoinFacts
from manager.operations.operations import Operations
from manager.operations.workers import Workers
from manager.push.compiler import Compiler
from manager.push.directory import Directory
from manager.push.fleet import Fleet
from manager.store.inventory import Inventories
from manager.store.sealing import create_kek, load_keyring
from manager.store.store import Store
from manager.web.server import HttpsServer
from tests import pki

PASSWORD = "a-long-enough-password"
USERS = {role: role.value.replace("-", "") for role in Role}


class ApiClient:
    """Calls the API as a user of some role; keeps every byte that was answered."""

    def __init__(
        self,
        url: str,
        session: aiohttp.ClientSession,
        operations: Operations,
        server: HttpsServer,
        fleet: Fleet,
    ) -> None:
        self.url = url
        self.session = session
        self.operations = operations
        self.server = server
        self.fleet = fleet
        self.answers: list[bytes] = []

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


@asynccontextmanager
async def real_api(directory: Path, workers: Workers) -> AsyncIterator[ApiClient]:
    create_kek(directory)
    store = await Store.create(directory, load_keyring(directory))
    anchor = pki.make_root("Anchor")
    node_directory = Directory({})
    inventories = Inventories(store, [decode(anchor.certificate_der)])
    fleet = Fleet(store, Compiler(store, inventories), node_directory, epoch=1)
    await fleet.load()
    join = JoinFacts(addresses=lambda: ["192.0.2.1:9422"], fingerprint="SHA256:x", lifetime_s=60)
    _, issuer = pki.current_ca("Own")
    own = pki.current_leaf(issuer, ["localhost"])
    async with Supervisor() as supervisor:
        operations = Operations(
            Context(store=store, inventories=inventories, fleet=fleet, workers=workers), join=join
        )
        for role, name in USERS.items():
            await operations.users.add(name, role=role, password=PASSWORD, actor="test")
        app = web.Application()
        app.add_subapp(ROOT, build_api(Api(operations=operations, fleet=fleet)))
        server = HttpsServer(app, host="127.0.0.1", port=0)
        await server.start()
        await server.use_certificate(
            fullchain_pem=own.certificate_pem, private_key_pem=own.key_pem, parameters_pem=""
        )
        supervisor.keep("changes", fleet.run_changes)
        supervisor.keep("reports", fleet.reports.run)
        trusting = ssl.create_default_context()
        trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
        try:
            async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trusting)) as session:
                yield ApiClient(f"https://127.0.0.1:{server.port}", session, operations, server, fleet)
        finally:
            await server.close()
            await asyncio.sleep(0)
    await store.close()
