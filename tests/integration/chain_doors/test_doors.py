"""Every door through which certificates are written keeps what their chains need."""

import ast
import base64
import time
from pathlib import Path
from typing import Any

import pytest
from cryptography.x509 import ExtendedKeyUsage
from cryptography.x509.oid import ExtendedKeyUsageOID

import manager
from common.api.codes import Role
from common.pki.certificate import decode
from tests import pki
from tests.integration.api import ApiClient
from tests.integration.chain_doors.conftest import (
    ALONE,
    CA,
    ELDER,
    ISSUER,
    KEY,
    LEAF,
    LIFE,
    NAMES,
    NUMBER,
    by_api,
    fingerprints,
    keep,
    sent,
)
from tests.integration.infinity_api.platform import CERTIFICATES, IMPORT, REQUESTS, Client
from tests.integration.web import visitor
from tests.pki import Made

WRITERS = {
    ("usecases/certificates.py", "upload"),
    ("usecases/certificates.py", "import_files"),
    ("usecases/certificates.py", "edit"),
    ("usecases/csrs.py", "answer"),
    # makes a new temporary one
    ("usecases/nodes.py", "_keep"),
}
"""The functions that write certificates into the store."""


def test_the_functions_that_write_certificates_are_the_doors_that_are_tried_here():
    source = Path(manager.__file__).parent
    written = ("certificates.add", "certificates.update", "catalogue.keep", "catalogue.answer")
    found = set()
    for path in set(source.rglob("*.py")) - set((source / "store").rglob("*.py")):
        for outer in ast.walk(ast.parse(path.read_text())):
            if isinstance(outer, ast.FunctionDef | ast.AsyncFunctionDef):
                calls = [ast.unparse(one.func) for one in ast.walk(outer) if isinstance(one, ast.Call)]
                if any(call.endswith(written) for call in calls):
                    found.add((str(path.relative_to(source)), outer.name))
    assert found == WRITERS


def file(*texts: str) -> list[dict[str, str]]:
    return [{"name": "leaf.pem", "content": base64.b64encode("".join(texts).encode()).decode()}]


def by_existing_client(method: str, path: str, **body: Any):
    async def send(api: ApiClient) -> str:
        answer = await Client(api).call(method, path, body)
        assert answer.status in {201, 202, 204}, answer
        return ""

    return send


def by_page(path: str, **fields: str):
    async def send(api: ApiClient) -> str:
        async with visitor(api, Role.ADMINISTRATOR) as browser:
            shown = await browser.get(path)
            answer = await browser.post(path, {**shown.hidden, **fields})
        assert answer.status == 200, answer.text
        return answer.text

    return send


def answered(path: str = "", *, page: str = "", method: str = "PATCH"):
    """Let a CA answer a request of the same key with the leaf alone, which is there already with its intermediate."""

    async def send(api: ApiClient) -> str:
        client = Client(api)
        at = await client.post(
            REQUESTS,
            {"subject_name": NAMES[0], "private_key_type": "UPLOAD", "private_key": LEAF.key_pem},
        )
        request = at.rstrip("/").rpartition("/")[2]
        if page:
            return await by_page(page.format(request), certificate=LEAF.certificate_pem)(api)
        if path:
            door = by_api("POST", path.format(request), certificate=LEAF.certificate_pem)
            return await door(api)
        return await by_existing_client(method, at, certificate=LEAF.certificate_pem)(api)

    return send


TOLD = {
    "API: upload": by_api("POST", "certificates", certificate=ALONE, private_key=KEY),
    "API: import": by_api("POST", "import", files=file(ALONE, KEY)),
    "API: import without the key": by_api("POST", "import", files=file(ALONE)),
    "API: answer to a request": answered("requests/{}/answer"),
    "page: upload": by_page("/certificates/new", certificate=ALONE, private_key=KEY, slot="server"),
    "page: import": by_page("/trusted-cas/import", pasted=ALONE),
    "page: answer to a request": answered(page="/requests/{}/answer"),
}


UNTOLD = {
    "create": by_existing_client("POST", CERTIFICATES, certificate=ALONE, private_key=KEY),
    "import": by_existing_client("POST", IMPORT, bundle=ALONE + KEY),
    "import without the key": by_existing_client("POST", IMPORT, bundle=ALONE),
    "PATCH": by_existing_client("PATCH", f"{CERTIFICATES}{NUMBER}/", certificate=ALONE),
    "PATCH with the key": by_existing_client(
        "PATCH", f"{CERTIFICATES}{NUMBER}/", certificate=ALONE, private_key=KEY
    ),
    "answer to a request": answered(),
    "answer to a request by PUT": answered(method="PUT"),
}


@pytest.mark.parametrize("door", TOLD)
async def test_the_leaf_alone_takes_nothing_from_its_chain_and_the_answer_names_what_stays(api, door):
    reply = await TOLD[door](api)
    assert await sent(api) == ("complete", fingerprints(ISSUER))
    name = decode(ISSUER.certificate_der).label
    assert f"{name}" in reply
    assert "was not given again and is kept from certificate 1" in reply


@pytest.mark.parametrize("door", UNTOLD)
async def test_a_client_that_cannot_confirm_takes_nothing_from_a_chain_and_reads_what_it_gave(api, door):
    await UNTOLD[door](api)
    assert await sent(api) == ("complete", fingerprints(ISSUER))
    shown = await Client(api).get(f"{CERTIFICATES}{NUMBER}/")
    assert shown["certificate"].strip() == ALONE.strip()
    # what is kept beside the text survives what leaves the text alone
    for body in ({"parameters": ""}, {"certificate": shown["certificate"], "parameters": ""}, {"nodes": []}):
        await by_existing_client("PATCH", f"{CERTIFICATES}{NUMBER}/", **body)(api)
        assert await sent(api) == ("complete", fingerprints(ISSUER))
    await UNTOLD["create"](api)
    assert await sent(api) == ("complete", fingerprints(ISSUER))


async def test_of_two_intermediates_of_one_name_and_key_the_one_for_servers_stays(api):
    key = pki.make_key()
    for_mail, for_tls = (
        pki.make_intermediate(
            CA,
            "Kept Twin",
            key=key,
            **LIFE,
            extensions=[(ExtendedKeyUsage([purpose]), False)],
        )
        for purpose in (ExtendedKeyUsageOID.EMAIL_PROTECTION, ExtendedKeyUsageOID.SERVER_AUTH)
    )
    leaf = pki.current_leaf(for_tls, NAMES)
    number = await keep(api, leaf, for_mail, for_tls)
    assert await sent(api, number) == ("complete", fingerprints(for_tls))
    text = leaf.certificate_pem + for_mail.certificate_pem
    reply = await by_api("POST", "certificates", certificate=text, private_key=leaf.key_pem)(api)
    assert await sent(api, number) == ("complete", fingerprints(for_tls))
    assert fingerprints(for_tls)[0][:16] in reply


async def test_an_intermediate_stays_though_nobody_knows_its_root_and_its_corrected_leaf_is_given(api):
    _, stranger = pki.current_ca("Unknown Here")
    leaf = pki.current_leaf(stranger, NAMES)
    number = await keep(api, leaf, stranger)
    await by_existing_client(
        "POST", CERTIFICATES, certificate=leaf.certificate_pem, private_key=leaf.key_pem
    )(api)
    assert await sent(api, number) == ("incomplete", fingerprints(stranger))


async def test_what_completes_a_chain_by_itself_is_kept_as_it_was_given(api):
    renewed = pki.make_intermediate(CA, "Kept Issuing", key=ISSUER.key, **LIFE)
    body = {"certificate": pki.chain_pem(LEAF, renewed), "private_key": KEY}
    assert "kept from" not in await by_api("POST", "certificates", **body)(api)
    assert await sent(api) == ("complete", fingerprints(renewed))
    await api.use_cases.trust.upload_one(renewed.certificate_pem, trusted_intermediate=False, actor="test")
    assert "kept from" not in await TOLD["API: upload"](api)
    record = await api.context.store.certificates.get(NUMBER)
    assert record.chain_pem == ""
    assert await sent(api) == ("complete", fingerprints(renewed))


CROSS = pki.cross_sign(ELDER, CA, **LIFE)
"""The root's name and key, signed by a root that older clients know."""


async def with_cross_signed(api: ApiClient, *above: Made) -> None:
    """The certificate came with all of its chain, and the manager has the intermediate, too."""
    assert await keep(api, LEAF, ISSUER, *above) == NUMBER
    await api.use_cases.trust.upload_one(ISSUER.certificate_pem, trusted_intermediate=False, actor="test")


@pytest.mark.parametrize("door", {**TOLD, **UNTOLD})
async def test_a_cross_signed_root_that_came_along_is_sent_on_though_the_leaf_alone_is_given_again(api, door):
    await with_cross_signed(api, CROSS)
    assert await sent(api) == ("complete", fingerprints(ISSUER, CROSS))
    reply = await {**TOLD, **UNTOLD}[door](api)
    assert await sent(api) == ("complete", fingerprints(ISSUER, CROSS))
    if door in TOLD:
        assert "Clients that do not know its root need" in reply
        assert fingerprints(CROSS)[0][:16] in reply
        assert fingerprints(ISSUER)[0][:16] not in reply, "the manager has that one"


async def test_a_cross_signed_root_that_is_wrong_by_now_does_not_stay(api):
    over = {**LIFE, "not_after_s": int(time.time()) - pki.DAY_S}
    await with_cross_signed(api, pki.cross_sign(ELDER, CA, **over), pki.cross_sign(ELDER, ELDER, **LIFE))
    assert "kept from" not in await TOLD["API: upload"](api)
    assert await sent(api) == ("complete", fingerprints(ISSUER))
    assert (await api.use_cases._context.store.certificates.get(NUMBER)).chain_pem == ""


async def test_a_renewed_intermediate_of_the_manager_is_served_with_the_cross_signed_root_that_stays(api):
    assert await keep(api, LEAF, ISSUER, CROSS) == NUMBER
    renewed = pki.make_intermediate(CA, "Kept Issuing", key=ISSUER.key, **LIFE)
    await api.use_cases.trust.upload_one(renewed.certificate_pem, trusted_intermediate=False, actor="test")
    await TOLD["API: upload"](api)
    assert await sent(api) == ("complete", fingerprints(renewed, CROSS))


async def test_an_answer_of_an_existing_client_that_takes_over_nodes_takes_over_the_chain(api):
    client = Client(api)
    body = {"subject_name": NAMES[0], "tls_certificate": f"{CERTIFICATES}{NUMBER}/"}
    at = await client.post(REQUESTS, {**body, "private_key_type": "UPLOAD", "private_key": LEAF.key_pem})
    renewed = pki.make_leaf(ISSUER, NAMES, key=LEAF.key, **LIFE)
    await by_existing_client("PATCH", at, certificate=renewed.certificate_pem)(api)
    inventory = await api.use_cases.inventory()
    number = inventory.slots["n1", "server"]
    assert number != NUMBER
    assert await sent(api, number) == ("complete", fingerprints(ISSUER))


async def test_an_intermediate_in_a_file_of_its_own_was_given_again(api):
    files = [*file(ALONE, KEY), {**file(ISSUER.certificate_pem)[0], "name": "chain.pem"}]
    assert "kept from" not in await by_api("POST", "import", files=files)(api)
    assert await sent(api) == ("complete", fingerprints(ISSUER))
