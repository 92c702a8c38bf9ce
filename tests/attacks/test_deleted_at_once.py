"""Whoever deletes a thing the moment it is on disk takes nobody the answer to having made it: that is made of what was kept.

Each attack strikes right after the transaction of a change, before anything else could be read for its answer.
"""

import base64
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from common.api.codes import Role
from common.errors import CertcastError
from common.ids import NodeName
from manager.api.app import ROUTES
from manager.domain.model import NodeDescription
from manager.pki.read.batch import ImportFile
from manager.usecases.downloads import DownloadOptions
from tests import pki
from tests.fakes.workers import InPlace
from tests.integration.api import USERS, ApiClient, real_api
from tests.integration.infinity_api.platform import CONFIGURATION, Client
from tests.integration.web import visitor

ROOT, ISSUER = pki.current_ca("Raced")
MADE, NEW = (pki.current_leaf(ISSUER, [f"{name}.example.test"]) for name in ("n1", "new"))
OTHER_CA = pki.current_ca("Other")[0]
PUBLIC_KEY = (
    ec.generate_private_key(ec.SECP256R1())
    .public_key()
    .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    .decode()
)
PASSWORD = "a-long-enough-password"
BATCH = pki.chain_pem(NEW, ISSUER, OTHER_CA) + NEW.key_pem


@dataclass(frozen=True)
class Ground:
    """A manager with a node, a certificate that it has, a trusted CA, and a signing request."""

    api: ApiClient
    certificate: int
    ca: int
    request: int
    signed: str

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
        await store.requests.delete([each.id for each in await store.requests.list()])
        await store.certificates.delete(
            [each.id for each in await store.certificates.list()], even_assigned=True
        )
        await store.trusted_cas.delete([each.id for each in await store.trusted_cas.list()])
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
    async with real_api(directory, InPlace()) as api:
        cases = api.use_cases
        await cases.nodes.add(NodeName("n1"), NodeDescription(names=[], addresses=[]), actor="test")
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
        yield Ground(api, kept.id, ca.id, request["id"], signed)


Door = tuple[str, str, Callable[[Ground], Any], Callable[[Any], Any], Any]
"""How it is called, what is sent, what of the answer says what was kept, and what that is."""

DOORS: tuple[Door, ...] = (
    (
        "POST",
        "certificates",
        lambda _: {
            "certificate": pki.chain_pem(NEW, ISSUER),
            "private_key": NEW.key_pem,
            "nodes": ["n1"],
        },
        lambda said: (said["created"], said["nodes"][0]["node"], said["chain_state"]),
        (True, "n1", "complete"),
    ),
    (
        "POST",
        "import",
        lambda _: {"files": [{"name": "a.pem", "content": base64.b64encode(BATCH.encode()).decode()}]},
        lambda said: (len(said["certificates"]), len(said["trusted_cas"]), said["warnings"]),
        (1, 1, []),
    ),
    (
        "PATCH",
        "certificates/{id}",
        lambda _: {"note": "renew in spring", "nodes": ["n1"]},
        lambda said: (said["note"], said["nodes"][0]["node"]),
        ("renew in spring", "n1"),
    ),
    ("POST", "certificates/{id}/assign", lambda _: {"nodes": ["n1"]}, lambda said: said["nodes"], ["n1"]),
    (
        "PUT",
        "nodes/{name}/slots/{slot}",
        lambda ground: {"certificate": ground.certificate},
        lambda said: said["nodes"],
        ["n1"],
    ),
    (
        "POST",
        "requests",
        lambda _: {"subject": "CN=new.example.test", "private_key_type": "ECDSAP256"},
        lambda said: said["raw_subject"],
        "CN=new.example.test",
    ),
    (
        "POST",
        "requests/{id}/answer",
        lambda ground: {"certificate": ground.signed, "nodes": ["n1"]},
        lambda said: (said["created"], said["nodes"][0]["node"]),
        (True, "n1"),
    ),
    (
        "POST",
        "trusted-cas",
        lambda _: {"certificates": OTHER_CA.certificate_pem},
        lambda said: [each["subject_name"] for each in said["trusted_cas"]],
        ["Other Root"],
    ),
    (
        "PATCH",
        "trusted-cas/{id}",
        lambda _: {"trusted_intermediate": False, "force": True},
        lambda said: (said["subject_name"], said["trusted_intermediate"]),
        ("Raced Issuing", False),
    ),
    ("POST", "nodes", lambda _: {"name": "n2"}, lambda said: said["node"]["name"], "n2"),
    ("POST", "nodes/{name}/join-token", lambda _: None, lambda said: bool(said["join_token"]), True),
    (
        "POST",
        "users",
        lambda _: {"name": "eve", "role": "read-only", "password": PASSWORD},
        lambda said: said["name"],
        "eve",
    ),
    ("POST", "tokens", lambda _: {"label": "ci", "days": 1}, lambda said: bool(said["token"]), True),
    (
        "POST",
        "oauth-clients",
        lambda _: {"name": "robot", "role": "read-only", "public_key": PUBLIC_KEY},
        lambda said: said["name"],
        "robot",
    ),
)

KEEPS_NOTHING = {
    # what is removed is named by the transaction that removes it
    ("POST", "certificates/delete"),
    ("DELETE", "certificates/{id}"),
    ("POST", "certificates/download"),
    # the manager has host keys as long as it has a store, and nobody deletes them
    ("POST", "host-key/announce"),
    ("POST", "host-key/switch"),
    ("POST", "host-key/drop"),
    ("POST", "host-key/abandon"),
    # noted first, and nothing is published for a node that has gone since
    ("POST", "push"),
    ("POST", "nodes/{name}/generations/{generation}/republish"),
}

# these are read again after they were kept, so one that is deleted at once may be answered with 404: a fault that docs/renewal.md tells
READ_AGAIN = {
    ("POST", "accounts"),
    ("PATCH", "accounts/{id}"),
    ("POST", "accounts/{id}/register"),
    ("POST", "accounts/{id}/change-key"),
    ("POST", "accounts/{id}/deactivate"),
    ("POST", "renewals"),
    ("PUT", "renewals/{id}"),
    ("POST", "renewals/{id}/order"),
    ("POST", "renewals/{id}/test"),
    ("POST", "renewals/{id}/pause"),
    ("POST", "renewals/{id}/resume"),
}


def test_every_change_that_is_answered_is_raced_here():
    answered = {
        (each.method, each.path) for each in ROUTES if each.method != "GET" and any(each.answers.values())
    }
    assert answered == {(method, path) for method, path, *_ in DOORS} | KEEPS_NOTHING | READ_AGAIN


@pytest.mark.parametrize("door", DOORS, ids=[f"{method} {path}" for method, path, *_ in DOORS])
async def test_a_change_is_answered_with_what_was_kept_though_it_was_deleted_at_once(
    tmp_path: Path, door: Door
):
    method, path, body, taken, expected = door
    async with ground(tmp_path) as there:
        numbers = {"certificates": there.certificate, "requests": there.request, "trusted-cas": there.ca}
        where = path.format(id=numbers.get(path.partition("/")[0]), name="n1", slot="client")
        sent = body(there)
        with there.raced() as gone:
            status, said = await there.api.call(method, where, sent)
        assert gone, "nobody was faster"
        assert status in {200, 201}, said
        assert taken(said) == expected
        status, found = await there.api.call("GET", "certificates")
        assert (status, found["certificates"]) == (200, []), "later readers see that it is gone"


async def test_a_client_of_the_existing_api_gets_its_key_though_it_was_deleted_at_once(tmp_path: Path):
    async with ground(tmp_path) as there:
        path = f"{CONFIGURATION}/oauth2_client/"
        roles = (await Client(there.api).get(f"{CONFIGURATION}/role/"))["objects"]
        with there.raced() as gone:
            made = await Client(there.api).call(
                "POST", path, {"client_name": "robot", "role": roles[0]["resource_uri"]}
            )
        assert gone
        assert made.status == 201, made
        assert (made.json["client_name"], made.json["role"]) == ("robot", roles[0]["resource_uri"])
        assert "PRIVATE KEY" in made.json["private_key_jwt"]
        # an access key is shown once, and meant to be
        there.api.leaks._said.clear()


@pytest.mark.parametrize(
    ("path", "fields"), [("/nodes/new", {"name": "n2"}), ("/nodes/n1/join-token", {})], ids=["new", "again"]
)
async def test_a_join_command_is_shown_though_the_node_was_removed_at_once(
    tmp_path: Path, path: str, fields: dict[str, str]
):
    async with ground(tmp_path) as there, visitor(there.api, Role.ADMINISTRATOR) as browser:
        with there.raced() as gone:
            page = await browser.post(path, fields)
        assert gone
        assert page.status == 200, page.text
        assert "certcast-nodeagent join" in page.text


async def test_keys_that_were_deleted_before_they_were_read_are_not_left_out_of_a_file_in_silence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    async with ground(tmp_path) as there:
        store = there.api.context.store
        current = there.api.context.inventories.current

        async def late() -> Any:
            found = await current()
            await store.certificates.delete([there.certificate], even_assigned=True)
            return found

        monkeypatch.setattr(there.api.context.inventories, "current", late)
        wanted = DownloadOptions(leaf=True, chain=False, key=True, form="pem", passphrase=PASSWORD)
        with pytest.raises(CertcastError, match="deleted a moment ago"):
            await there.api.use_cases.downloads.download([there.certificate], wanted, actor="ada")
