"""The management API as a test calls it, and the manager that it calls."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from common.api.codes import Role
from tests import pki
from tests.fakes.workers import InPlace
from tests.integration.api import PASSWORD, USERS, ApiClient, real_api

ROOT = "/api/admin"
CONFIGURATION = f"{ROOT}/configuration/v1"
CERTIFICATES = f"{CONFIGURATION}/tls_certificate/"
AUTHORITIES = f"{CONFIGURATION}/ca_certificate/"
REQUESTS = f"{CONFIGURATION}/certificate_signing_request/"
WORKERS = f"{CONFIGURATION}/worker_vm/"
MANAGERS = f"{CONFIGURATION}/management_vm/"
LOCATIONS = f"{CONFIGURATION}/system_location/"
IMPORT = f"{ROOT}/command/v1/platform/certificates_import/"

CA, ISSUER = pki.current_ca("Management")


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Any
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def location(self) -> str:
        return self.headers["Location"]

    @property
    def error(self) -> str:
        return self.json["error"]


class Client:
    """Calls the management API; redirects are not followed, because none is expected."""

    def __init__(self, api: ApiClient) -> None:
        self.api = api

    async def call(
        self, method: str, path: str, body: Any = None, *, role: Role | None = Role.ADMINISTRATOR, **more: Any
    ) -> Answer:
        headers = dict(more.pop("headers", {}))
        if role is not None:
            headers.setdefault("Authorization", aiohttp.encode_basic_auth(USERS[role], PASSWORD))
        more = {"json": body, **more} if body is not None else more
        async with self.api.session.request(
            method, f"{self.api.url}{path}", headers=headers, allow_redirects=False, **more
        ) as answer:
            return Answer(answer.status, answer.headers, await answer.read())

    async def get(self, path: str, **query: Any) -> Any:
        answer = await self.call("GET", path, params=query)
        assert answer.status == 200, answer
        return answer.json

    async def post(self, path: str, body: Any) -> str:
        """Make an object; return where it is."""
        answer = await self.call("POST", path, body)
        assert (answer.status, answer.body) == (201, b""), answer
        return answer.location

    async def post_worker(self, body: Any) -> str:
        """Make a node; its answer has a body, unlike others."""
        answer = await self.call("POST", WORKERS, body)
        assert answer.status == 201, answer
        return answer.location

    async def names(self, path: str, **query: Any) -> list[str]:
        return [each["subject_name"] for each in (await self.get(path, **query))["objects"]]


@asynccontextmanager
async def management(directory: Path, *, watched: bool = True) -> AsyncIterator[Client]:
    """Serve a manager with its own node, whose certificate is tls_certificate 1, as after a fresh `init`."""
    async with real_api(directory, InPlace(), watched=watched) as api:
        await api.use_cases.nodes.add_management_node(
            names=["manager.example.test"], addresses=["192.0.2.1"], actor="test"
        )
        yield Client(api)


def leaf(*names: str, days: int = 90) -> pki.Made:
    return pki.current_leaf(ISSUER, names, days=days)


def upload(made: pki.Made, **more: Any) -> dict[str, Any]:
    chain = made.certificate_pem + ISSUER.certificate_pem
    return {"certificate": chain, "private_key": made.key_pem, **more}


def worker(number: int = 1, **more: Any) -> dict[str, Any]:
    return {
        "name": f"conf{number}",
        "hostname": f"conf{number}",
        "domain": "example.test",
        "address": f"192.0.2.{10 + number}",
        "netmask": "255.255.255.0",
        "gateway": "192.0.2.254",
        "system_location": f"{LOCATIONS}1/",
        **more,
    }
