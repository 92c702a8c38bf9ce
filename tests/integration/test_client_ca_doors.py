"""Every door through which nodes begin to verify peers by a CA: it asks, or raises the alarm where nobody can be asked, before TLS breaks."""

import ast
import base64
import time
from pathlib import Path
from typing import Any

import pytest

import manager
from common.api.codes import Role
from common.pki.certificate import decode
from manager.domain import trust
from manager.domain.alarms import AlarmKind, conditions_of_inventory
from manager.usecases.uploads import Upload
from tests import pki
from tests.fakes.workers import InPlace
from tests.integration.api import ApiClient, real_api
from tests.integration.infinity_api.platform import AUTHORITIES, IMPORT, Client
from tests.integration.web import visitor

WRITERS = {
    ("usecases/trust.py", "_keep"),
    ("usecases/trust.py", "edit"),
    ("usecases/certificates.py", "import_files"),
    # takes no trusted CAs
    ("usecases/csrs.py", "answer"),
}
"""The functions that write trusted CAs, or what may hold some, into the store."""

ROOT, ISSUER = pki.current_ca("Doors")
OWN_ROOT, OWN_ISSUER = pki.current_ca("Came Along")
MORE = pki.current_ca("More Than Fits")[0]
WORDS = "fails at every TLS handshake"


def test_the_functions_that_write_trusted_cas_are_the_doors_that_are_tried_here():
    source = Path(manager.__file__).parent
    found = set()
    for path in source.rglob("*.py"):
        name = str(path.relative_to(source))
        for outer in ast.walk(ast.parse(path.read_text())):
            if not isinstance(outer, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            calls = [ast.unparse(one.func) for one in ast.walk(outer) if isinstance(one, ast.Call)]
            written = ("trusted_cas.add", "trusted_cas.update", "catalogue.keep", "catalogue.answer")
            if any(call.endswith(written) for call in calls) or (
                name == "usecases/trust.py" and "store.update" in calls
            ):
                found.add((name, outer.name))
    assert found == WRITERS


@pytest.fixture
async def api(tmp_path: Path):
    async with real_api(tmp_path, InPlace()) as client:
        yield client


@pytest.fixture
async def full(api: ApiClient, monkeypatch):
    """Nodes verify by one CA, and a second entry, an intermediate, only completes chains; one further name is too long."""
    await api.use_cases.trust.take(ROOT.certificate_pem, actor="test")
    await api.use_cases.trust.upload_one(ISSUER.certificate_pem, trusted_intermediate=False, actor="test")
    leaf = pki.current_leaf(OWN_ISSUER, ["conf.example.com"])
    await api.use_cases.certificates.upload(
        Upload(
            certificate=pki.chain_pem(leaf, OWN_ISSUER, OWN_ROOT),
            private_key=leaf.key_pem,
            passphrase=None,
            parameters="",
            nodes=[],
            slot="server",
        ),
        actor="test",
    )
    held = (await api.use_cases.inventory()).trust
    room = trust.client_ca_list_bytes([decode(ROOT.certificate_der), *held.builtin])
    monkeypatch.setattr(trust, "CLIENT_CA_LIST_MAX_BYTES", room)
    assert await too_long(api) == []
    return api


async def too_long(api: ApiClient) -> list[str]:
    inventory = await api.use_cases.inventory()
    found = conditions_of_inventory(inventory, republished={}, now_s=int(time.time()))
    return [one.details for one in found if one.subject.kind is AlarmKind.CLIENT_CA_LIST_TOO_LONG]


def by_api(method: str, path: str, **body: Any):
    async def send(api: ApiClient, confirm: str) -> tuple[int, str, str]:
        status, answer = await api.call(method, path, {**body, "confirm": confirm})
        token = answer["error"]["confirmation"]["token"] if status == 409 else ""
        return status, str(answer), token

    return send


def by_page(path: str, **fields: str):
    async def send(api: ApiClient, confirm: str) -> tuple[int, str, str]:
        async with visitor(api, Role.ADMINISTRATOR) as browser:
            shown = await browser.get(path.removesuffix("/trust-root"))
            answer = await browser.post(path, {**shown.hidden, **fields, "confirm": confirm})
        return answer.status, answer.text, answer.hidden.get("confirm", "")

    return send


def by_existing_client(method: str, path: str, **body: Any):
    async def send(api: ApiClient) -> int:
        return (await Client(api).call(method, path, body)).status

    return send


MORE_PEM = MORE.certificate_pem
IMPORTED = base64.b64encode(MORE_PEM.encode()).decode()
ASKING = {
    "API: upload": by_api("POST", "trusted-cas", certificates=MORE_PEM),
    "API: import": by_api("POST", "import", files=[{"name": "ca.pem", "content": IMPORTED}]),
    "API: another certificate": by_api("PATCH", "trusted-cas/1", certificate=MORE_PEM),
    "API: an intermediate begins to verify": by_api("PATCH", "trusted-cas/2", trusted_intermediate=True),
    "page: import": by_page("/trusted-cas/import", pasted=MORE_PEM),
    "page: another certificate": by_page("/trusted-cas/1/edit", certificate=MORE_PEM),
    "page: an intermediate begins to verify": by_page(
        "/trusted-cas/2/edit", certificate=ISSUER.certificate_pem, trusted="1"
    ),
    "page: the root that came along": by_page("/certificates/1/trust-root"),
}
UNASKED = {
    "create": by_existing_client("POST", AUTHORITIES, certificate=MORE_PEM),
    "import": by_existing_client("POST", IMPORT, bundle=MORE_PEM),
    "another certificate": by_existing_client("PATCH", f"{AUTHORITIES}1/", certificate=MORE_PEM),
    "an intermediate begins to verify": by_existing_client(
        "PATCH", f"{AUTHORITIES}2/", trusted_intermediate=True
    ),
}


@pytest.mark.parametrize("door", ASKING)
async def test_a_door_asks_before_the_list_of_client_cas_grows_too_long_for_tls(full, door):
    status, text, token = await ASKING[door](full, "")
    assert (status, WORDS in text) == (409, True), text
    assert await too_long(full) == [], "nothing is changed before the answer"
    status, text, _ = await ASKING[door](full, token)
    assert status in {200, 201}, text
    (details,) = await too_long(full)
    assert WORDS in details


@pytest.mark.parametrize("door", UNASKED)
async def test_a_program_that_cannot_confirm_is_let_through_and_the_alarm_says_it(full, door):
    assert await UNASKED[door](full) in {200, 201, 202, 204}
    (details,) = await too_long(full)
    assert WORDS in details


async def test_a_change_that_makes_the_list_no_longer_is_not_asked_about(full):
    status, text, _ = await by_api("PATCH", "trusted-cas/1", certificate=ROOT.certificate_pem)(full, "")
    assert status == 200, text


@pytest.mark.parametrize("door", ["upload", "import", "page"])
async def test_an_addition_warns_of_what_was_added_and_of_nothing_that_was_there_before(
    api: ApiClient, door: str
):
    begins_s = int(time.time()) + 30 * pki.DAY_S
    useless = [
        pki.make_root(name, not_before_s=begins_s, not_after_s=begins_s + 900 * pki.DAY_S).certificate_pem
        for name in ("Useless Before", "Useless Now")
    ]

    async def warned(pem: str) -> str:
        if door == "page":
            async with visitor(api, Role.ADMINISTRATOR) as browser:
                shown = await browser.get("/trusted-cas/import")
                answer = await browser.post("/trusted-cas/import", {**shown.hidden, "pasted": pem})
                assert answer.status == 200
                return answer.text
        content = base64.b64encode(pem.encode()).decode()
        path, body = {
            "upload": ("trusted-cas", {"certificates": pem}),
            "import": ("import", {"files": [{"name": "ca.pem", "content": content}]}),
        }[door]
        status, answer = await api.call("POST", path, body)
        assert status in {200, 201}
        return " ".join(answer["warnings"])

    assert "clients accept nothing that CN=Useless Before signed" in await warned(useless[0])
    assert "clients accept nothing" not in await warned(MORE_PEM)
    second = await warned(useless[1])
    assert "clients accept nothing that CN=Useless Now signed" in second
    assert "Useless Before" not in second
