"""A manager with one of everything that can be deleted, and somebody who deletes it all right after the next change."""

import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from common.ids import NodeName
from manager.domain.callers import Maker
from manager.domain.model import NodeDescription
from manager.pki.read.batch import ImportFile
from tests import pki
from tests.fakes.ca import ModelCas
from tests.fakes.ca_server import CaServer
from tests.fakes.showing import ModelShowing
from tests.fakes.workers import InPlace
from tests.integration.api import USERS, ApiClient, real_api
from tests.integration.certcast_api.renewing import ACCOUNT

ROOT, ISSUER = pki.current_ca("Raced")
MADE = pki.current_leaf(ISSUER, ["n1.example.test"])


@dataclass(frozen=True)
class Ground:
    """A manager with a node, a certificate that it has, a trusted CA, a signing request, and a renewal with its account."""

    api: ApiClient
    certificate: int
    ca: int
    request: int
    signed: str
    account: int
    renewal: int
    server: CaServer

    @contextmanager
    def raced(self) -> Iterator[list[str]]:
        """Let all that can be deleted be deleted right after the next change that the audit log has; yield what went."""
        store, gone, noted = self.api.context.store, list[str](), list[str]()
        transaction, append = store.transaction, store.audit.append

        async def noting(**values: Any) -> None:
            await append(**values)
            noted.append(values["action"])

        @asynccontextmanager
        async def striking() -> AsyncIterator[None]:
            is_whole = not store._database.is_writing
            async with transaction():
                yield
            if is_whole and noted and not gone:
                gone.append(noted[0])
                await self._delete_all()

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(store, "transaction", striking)
            patch.setattr(store.audit, "append", noting)
            yield gone

    async def _delete_all(self) -> None:
        store = self.api.context.store
        await store.csrs.delete([each.id for each in await store.csrs.list()])
        await store.certificates.delete(
            [each.id for each in await store.certificates.list()], even_assigned=True
        )
        await store.trusted_cas.delete([each.id for each in await store.trusted_cas.list()])
        for renewal in await store.renewals.list():
            await store.renewals.delete(renewal.id)
        for account in await store.accounts.list():
            await store.accounts.delete(account.id)
        for client in await store.clients.list():
            await store.clients.remove(client.name)
        for user in await store.users.list():
            if user.name not in USERS.values():
                await store.users.remove(user.name)
        for node in await store.nodes.list():
            await store.nodes.remove(node.name)
            self.api.fleet.node_removed(node.name)


@asynccontextmanager
async def ground(directory: Path) -> AsyncIterator[Ground]:
    showing = ModelShowing(time.time)
    server = CaServer(time.time, showing)
    async with real_api(directory, InPlace(), cas=ModelCas(server, server)) as api:
        cases = api.use_cases
        await cases.nodes.add(
            NodeName("n1"), NodeDescription(names=[], addresses=[]), maker=Maker(), actor="test"
        )
        _, (ca, _) = (await cases.trust.take(pki.chain_pem(ROOT, ISSUER), actor="test")).kept
        batch = [ImportFile("all.pem", (MADE.certificate_pem + MADE.key_pem).encode())]
        ((kept, _),) = (await cases.certificates.import_files(batch, passphrase=None, actor="test")).tls
        asked = {
            "subject": "CN=asked.example.test",
            "subject_alt_names": ["asked.example.test"],
            "private_key_type": "ECDSAP256",
        }
        status, request = await api.call("POST", "requests", asked)
        assert status == 201
        signed = pki.sign_request(ISSUER, request["csr"])
        status, account = await api.call("POST", "accounts", ACCOUNT)
        assert status == 201
        terms = {"account": account["id"], "names": ["renewed.example.test"], "nodes": ["n1"]}
        status, renewal = await api.call("POST", "renewals", terms)
        assert status == 201
        yield Ground(api, kept.id, ca.id, request["id"], signed, account["id"], renewal["id"], server)
