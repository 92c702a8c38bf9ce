"""Every door through which a certificate comes names what came along and has no part in its chain."""

import asyncio
import base64
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs
from typer.testing import CliRunner

from common.api.codes import Role
from common.pki.certificate import decode
from manager.cli.app import app
from manager.usecases.uploads import Upload
from tests import pki
from tests.fakes.workers import InPlace
from tests.integration.api import PASSWORD, USERS, ApiClient, real_api
from tests.integration.infinity_api.platform import CERTIFICATES, REQUESTS, Client
from tests.integration.web import visitor

CA, ISSUER = pki.current_ca("Companion")
NAMESAKE, _ = pki.current_ca("Companion")
"""Named as the root of the chain, with another key."""

STRANGER, _ = pki.current_ca("Stranger")
NAMES = ["n1.example.test"]
LEAF = pki.current_leaf(ISSUER, NAMES)
OTHER = pki.current_leaf(ISSUER, ["other.example.test"])
WHOLE = pki.chain_pem(LEAF, ISSUER, CA)
GIVEN = WHOLE + "".join(each.certificate_pem for each in (STRANGER, NAMESAKE, OTHER))
KEY = LEAF.key_pem


@pytest.fixture
async def api(tmp_path: Path):
    (tmp_path / "store").mkdir()
    async with real_api(tmp_path / "store", InPlace()) as client:
        await client.use_cases.trust.take(CA.certificate_pem, actor="test")
        await client.use_cases.certificates.upload(Upload(certificate=WHOLE, private_key=KEY), actor="test")
        yield client


Door = Callable[[ApiClient, str, Path], Awaitable[str]]


def by_api(method: str, path: str, **body: Any) -> Door:
    async def send(api: ApiClient, text: str, _here: Path) -> str:
        request = await asked(api) if "{request}" in path else ""
        given = {**body, "certificate": text, "confirm": ""}
        status, answer = await api.call(method, path.format(request=request), given)
        assert status in {200, 201}, answer
        assert not any(each["asks"] for each in answer["consequences"])
        return " ".join(each["message"] for each in answer["consequences"])

    return send


def by_page(path: str, **fields: str) -> Door:
    async def send(api: ApiClient, text: str, _here: Path) -> str:
        at = path.format(request=await asked(api) if "{request}" in path else "")
        async with visitor(api, Role.ADMINISTRATOR) as browser:
            shown = await browser.get(at)
            answer = await browser.post(at, {**shown.hidden, **fields, "certificate": text})
        assert answer.status == 200, answer.text
        return answer.text

    return send


def by_command(line: str) -> Door:
    async def send(api: ApiClient, text: str, here: Path) -> str:
        (here / "leaf.pem").write_text(text)
        (here / "leaf.key").write_text(KEY)
        access = {
            "CERTCAST_URL": api.url,
            "CERTCAST_USER": USERS[Role.ADMINISTRATOR],
            "CERTCAST_PASSWORD": PASSWORD,
            "CERTCAST_INSECURE": "1",
        }
        with capture_logs():
            done = await asyncio.to_thread(
                CliRunner().invoke, app, line.format(here=here).split(), env=access
            )
        assert done.exit_code == 0, done.output
        return " ".join(done.stdout.split())

    return send


def by_existing_client(method: str, path: str, **body: Any) -> Door:
    """Return what the audit page says: these clients' answers have no place for it."""

    async def send(api: ApiClient, text: str, _here: Path) -> str:
        client = Client(api)
        at = f"{REQUESTS}{await asked(api)}/" if path == REQUESTS else path
        answer = await client.call(method, at, {**body, "certificate": text})
        assert answer.status in {201, 202, 204}, answer
        async with visitor(api, Role.ADMINISTRATOR) as browser:
            return (await browser.get("/audit")).text

    return send


async def asked(api: ApiClient) -> str:
    """Make a request whose key is that of the certificate."""
    at = await Client(api).post(
        REQUESTS, {"subject_name": NAMES[0], "private_key_type": "UPLOAD", "private_key": KEY}
    )
    return at.rstrip("/").rpartition("/")[2]


DOORS: dict[str, Door] = {
    "API: upload": by_api("POST", "certificates", private_key=KEY),
    "API: edit": by_api("PATCH", "certificates/1"),
    "API: answer to a request": by_api("POST", "requests/{request}/answer"),
    "page: upload": by_page("/certificates/new", private_key=KEY, slot="server"),
    "page: preview": by_page("/certificates/new", private_key=KEY, slot="server", preview="1"),
    "page: edit": by_page("/certificates/1/edit", parameters=""),
    "page: answer to a request": by_page("/requests/{request}/answer"),
    "command: add": by_command("certificate add --certificate {here}/leaf.pem --key {here}/leaf.key"),
    "command: edit": by_command("certificate edit 1 --certificate {here}/leaf.pem"),
    "existing clients: POST": by_existing_client("POST", CERTIFICATES, private_key=KEY),
    "existing clients: PATCH": by_existing_client("PATCH", f"{CERTIFICATES}1/"),
    "existing clients: PATCH with the key": by_existing_client("PATCH", f"{CERTIFICATES}1/", private_key=KEY),
    "existing clients: answer to a request": by_existing_client("PATCH", REQUESTS),
}


@pytest.mark.parametrize("front", ["API", "page", "command", "existing clients"])
async def test_what_came_along_without_a_part_in_the_chain_is_named_and_nothing_else(api, tmp_path, front):
    for name in (each for each in DOORS if each.startswith(front)):
        quiet, reply = [await DOORS[name](api, text, tmp_path) for text in (WHOLE, GIVEN)]
        for each in (STRANGER, NAMESAKE, OTHER):
            found = decode(each.certificate_der)
            assert f"'{found.label}' (fingerprint {found.fingerprint[:16]})" in reply, name
        assert "neither served nor trusted" in reply
        assert "The chain has a CA of the same name" in reply
        if front == "existing clients":
            # the audit log keeps what was said before
            assert reply.count("came along") > quiet.count("came along"), name
        else:
            assert (quiet.count("came along"), reply.count("came along")) == (0, 2), name
    assert [each.certificate.label for each in await api.use_cases.trust.list()] == ["CN=Companion Root"]


def file(name: str, *texts: str) -> dict[str, str]:
    return {"name": name, "content": base64.b64encode("".join(texts).encode()).decode()}


async def test_an_import_uses_or_names_each_of_two_chains_for_one_leaf(api):
    """In files of their own: in one file the second would be a trusted CA."""
    leaf = pki.current_leaf(ISSUER, ["two.example.test"])
    over = pki.make_intermediate(
        CA, "Companion Issuing", key=ISSUER.key, not_before_s=1_600_000_000, not_after_s=1_700_000_000
    )
    files = [
        file("new.pem", pki.chain_pem(leaf, ISSUER), leaf.key_pem),
        file("old.pem", pki.chain_pem(leaf, over)),
    ]
    status, answer = await api.call("POST", "import", {"files": files, "confirm": ""})
    assert status == 200, answer
    (reply,) = [each["message"] for each in answer["consequences"] if each["code"] == "not_served"]
    assert decode(over.certificate_der).fingerprint[:16] in reply
    assert "uses another certificate of the same name and key" in reply
    assert [each["subject_name"] for each in answer["trusted_cas"]] == []


async def test_a_trusted_ca_that_came_along_is_said_to_be_trusted_already(api):
    await api.use_cases.trust.take(STRANGER.certificate_pem, actor="test")
    reply = await DOORS["API: upload"](api, WHOLE + STRANGER.certificate_pem, Path())
    assert "not served, but a trusted CA already" in reply


async def test_of_very_many_that_came_along_some_are_named_and_the_rest_counted(api):
    many = [pki.make_root(f"Stranger {number}") for number in range(40)]
    reply = await DOORS["API: upload"](api, WHOLE + "".join(one.certificate_pem for one in many), Path())
    assert reply.count("fingerprint") == 10
    assert "and 30 more came along" in reply
