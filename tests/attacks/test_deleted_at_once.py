"""Whoever deletes a thing the moment it is on disk takes nobody the answer to having made it: that is made of what was kept.

Each attack strikes right after the transaction of a change, before anything else could be read for its answer.
"""

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from common.api.codes import Role
from common.errors import CertcastError
from manager.api.app import ROUTES
from manager.usecases.downloads import DownloadOptions
from tests import pki
from tests.attacks.deletable import ISSUER, Ground, ground
from tests.integration.certcast_api.renewing import ACCOUNT
from tests.integration.infinity_api.platform import CONFIGURATION, Client
from tests.integration.web import visitor

NEW = pki.current_leaf(ISSUER, ["new.example.test"])
OTHER_CA = pki.current_ca("Other")[0]
PUBLIC_KEY = (
    ec.generate_private_key(ec.SECP256R1())
    .public_key()
    .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    .decode()
)
PASSWORD = "a-long-enough-password"
BATCH = pki.chain_pem(NEW, ISSUER, OTHER_CA) + NEW.key_pem


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
    ("POST", "accounts", lambda _: ACCOUNT | {"name": "two"}, lambda said: said["name"], "two"),
    (
        "PATCH",
        "accounts/{id}",
        lambda _: {"contact": ["pki@example.test"]},
        lambda said: said["contact"],
        ["mailto:pki@example.test"],
    ),
    (
        "POST",
        "accounts/{id}/register",
        lambda _: {"terms_agreed": True},
        lambda said: (bool(said["url"]), said["terms_agreed"]),
        (True, True),
    ),
    (
        "POST",
        "accounts/{id}/deactivate",
        lambda _: None,
        lambda said: said["deactivated_at_s"] is not None,
        True,
    ),
    (
        "POST",
        "renewals",
        lambda ground: {"account": ground.account, "certificate": ground.certificate},
        lambda said: (said["subject_name"], said["ordered_names"]),
        ("n1.example.test", ["n1.example.test"]),
    ),
    (
        "PUT",
        "renewals/{id}",
        lambda ground: {"account": ground.account, "names": ["other.example.test"]},
        lambda said: said["ordered_names"],
        ["other.example.test"],
    ),
    ("POST", "renewals/{id}/pause", lambda _: None, lambda said: said["paused"], True),
    ("POST", "renewals/{id}/resume", lambda _: None, lambda said: said["paused"], False),
    ("POST", "renewals/{id}/order", lambda _: None, lambda said: said["state"], "created"),
    (
        "POST",
        "renewals/{id}/test",
        lambda _: None,
        lambda said: (said["state"], said["test"]),
        ("created", True),
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
    # the new key is kept before its CA is asked; what comes of it if the account goes in between has a test below
    ("POST", "accounts/{id}/change-key"),
}


def test_every_change_that_is_answered_is_raced_here():
    answered = {
        (each.method, each.path) for each in ROUTES if each.method != "GET" and any(each.answers.values())
    }
    assert answered == {(method, path) for method, path, *_ in DOORS} | KEEPS_NOTHING


@pytest.mark.parametrize("door", DOORS, ids=[f"{method} {path}" for method, path, *_ in DOORS])
async def test_a_change_is_answered_with_what_was_kept_though_it_was_deleted_at_once(
    tmp_path: Path, door: Door
):
    method, path, body, taken, expected = door
    async with ground(tmp_path) as there:
        numbers = {
            "certificates": there.certificate,
            "requests": there.request,
            "trusted-cas": there.ca,
            "accounts": there.account,
            "renewals": there.renewal,
        }
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


async def test_an_account_that_was_deleted_before_its_ca_was_given_the_new_key_has_no_key_changed(
    tmp_path: Path,
):
    async with ground(tmp_path) as there:
        where = f"accounts/{there.account}"
        assert (await there.api.call("POST", f"{where}/register", {"terms_agreed": True}))[0] == 200
        known = dict(there.server.accounts)
        with there.raced() as gone:
            status, said = await there.api.call("POST", f"{where}/change-key")
        assert gone == ["account.key_change_begun"]
        assert (status, said["error"]["reason"]) == (404, "not_found")
        assert there.server.accounts == known


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
