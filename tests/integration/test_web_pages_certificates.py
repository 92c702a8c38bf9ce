import asyncio
import base64
from importlib.metadata import version
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
    pkcs12,
)

from common.api.codes import Role
from manager.usecases.workers import Workers
from tests import pki
from tests.integration.api import ApiClient, real_api
from tests.integration.web import Visitor, visitor

ROOT, ISSUER = pki.current_ca("Pages")
PHRASE = "a-passphrase-of-the-test"


@pytest.fixture(scope="module")
def workers():
    """One pool for all tests here: starting its processes takes a second."""
    made = Workers()
    yield made
    asyncio.run(made.__aexit__(None, None, None))


@pytest.fixture
async def api(tmp_path: Path, workers: Workers):
    async with real_api(tmp_path, workers) as client:
        for name in ("n1", "n2"):
            await client.add_node(name)
        yield client


@pytest.fixture
async def browser(api: ApiClient):
    async with visitor(api, Role.ADMINISTRATOR) as signed_in:
        yield signed_in


def leaf(name: str = "conf.example.com") -> pki.Made:
    return pki.current_leaf(ISSUER, [name])


def encrypted(made: pki.Made) -> str:
    key = load_pem_private_key(made.key_pem.encode(), None)
    cipher = BestAvailableEncryption(PHRASE.encode())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, cipher).decode()


async def add(browser: Visitor, made: pki.Made, **fields):
    given = {"certificate": made.certificate_pem + ISSUER.certificate_pem, "private_key": made.key_pem}
    return await browser.post_confirmed("/certificates/new", {**given, **fields}, files={})


async def the_only(api: ApiClient):
    ((number, entry),) = (await api.operations.inventory()).entries.items()
    return number, entry


async def test_a_pasted_certificate_is_kept_as_it_was_typed_and_assigned(api, browser):
    made = leaf()
    answer = await add(browser, made, node=["n1", "n2"])
    number, entry = await the_only(api)
    assert answer.path == f"/certificates/{number}"
    assert "Added conf.example.com. It goes to 2 nodes now." in answer.text
    assert [place.node for place in entry.places] == ["n1", "n2"]
    record = await api.context.store.certificates.get(number)
    assert record.text == made.certificate_pem + ISSUER.certificate_pem


async def test_files_are_taken_in_place_of_text_in_pem_and_der_and_with_an_encrypted_key(api, browser):
    made = leaf()
    answer = await browser.post(
        "/certificates/new",
        {"passphrase": PHRASE},
        files={
            "certificate_file": ("leaf.cer", made.certificate_der),
            "private_key_file": ("leaf.key", encrypted(made).encode()),
        },
    )
    assert "Added conf.example.com." in answer.text


async def test_a_preview_tells_everything_and_keeps_nothing(api, browser):
    old = leaf()
    await add(browser, old, node="n1")
    before = await api.context.store.meta.revision()
    answer = await add(browser, leaf(), node="n1", preview="1")
    assert answer.status == 200
    for said in (
        "nothing is saved yet",
        "The private key pairs with conf.example.com",
        "Becomes a new entry.",
        "Stands beside conf.example.com (certificate 1)",
        "n1 gets it in place of conf.example.com (certificate 1)",
        "1 intermediate came with it",
        "Missing: CN=Pages Root",
        "A strict client would refuse it now",
        "It is not valid for the node's name n1.example.test.",
        "It is not valid for names of n1 (n1.example.test): clients that use them refuse it.",
    ):
        assert said in answer.text, said
    again = await add(browser, old, preview="1")
    assert "Updates conf.example.com (certificate 1) in place" in again.text
    assert await api.context.store.meta.revision() == before


async def test_a_refused_form_comes_back_with_all_findings_and_all_fields_but_the_key(api, browser):
    made, other = leaf(), leaf()
    typed = f"{made.certificate_pem}{other.key_pem}-----BEGIN CERTIFICATE-----\nbroken\n-----END CERTIFICATE-----\n"
    answer = await browser.post(
        "/certificates/new",
        {
            "certificate": typed,
            "private_key": "not a key",
            "passphrase": PHRASE,
            "parameters": "nothing here",
            "node": "n2",
            "slot": "client",
        },
    )
    assert answer.status == 400
    assert answer.values["certificate"][0].count("BEGIN CERTIFICATE") >= 1
    assert answer.values["parameters"] == ["nothing here"]
    assert answer.values["node"] == ["n2"]
    assert 'value="client" selected' in answer.html
    for said in ("Certificate, block 3", "Private key: ", "Parameters: "):
        assert said in answer.text, said
    assert "Give the private key and its passphrase again" in answer.text
    assert "PRIVATE KEY-----" not in answer.html
    assert PHRASE not in answer.html
    assert (await api.operations.inventory()).entries == {}


async def test_a_script_is_given_the_preview_alone(api, browser):
    made = leaf()
    answer = await browser.post(
        "/certificates/new",
        {"certificate": made.certificate_pem, "private_key": made.key_pem, "preview": "1"},
        headers={"HX-Request": "true"},
    )
    assert answer.html.lstrip().startswith("<section")


async def test_the_list_searches_filters_sorts_and_pages(api, browser, monkeypatch):
    monkeypatch.setattr("manager.web.pages.certificates.PAGE_SIZE", 2)
    for name in ("b.example.com", "a.example.com", "c.example.com"):
        await add(browser, leaf(name))
    answer = await browser.get("/certificates?order=subject")
    assert answer.text.index("a.example.com") < answer.text.index("b.example.com")
    assert "c.example.com" not in answer.text
    assert "Page 1 of 2" in answer.text
    assert "c.example.com" in (await browser.get("/certificates?order=subject&page=2")).text
    assert "1 certificate found" in (await browser.get("/certificates?search=B.EXAMPLE")).text
    assert "No matches." in (await browser.get("/certificates?status=expired")).text
    for wrong in ("status=none", "order=none", "page=x"):
        assert (await browser.get(f"/certificates?{wrong}")).status == 400


async def test_by_node_every_node_is_there_with_what_it_has_or_none(api, browser):
    await add(browser, leaf(), node="n1")
    answer = await browser.get("/certificates/by-node")
    assert "n1 server conf.example.com" in answer.text
    assert "n2 server None" in answer.text
    assert "n1" not in (await browser.get("/certificates/by-node?search=n2")).text.partition("Search")[2]


async def test_one_is_shown_decoded_with_its_chain(api, browser):
    await api.operations.trust.take(ROOT.certificate_pem, actor="test")
    await add(browser, pki.current_leaf(ISSUER, ["conf.example.com", "n1.example.test"]), node="n1")
    answer = await browser.get("/certificates/1")
    for said in (
        "CN=conf.example.com",
        "Pages Issuing came with it",
        "Pages Root trusted root",
        "accept it now",
    ):
        assert said in answer.text, said
    assert (await browser.get("/certificates/99")).status == 404


async def test_editing_moves_nodes_and_leaves_the_text_as_it_is(api, browser):
    made = leaf()
    await add(browser, made, node="n1")
    form = await browser.get("/certificates/1/edit")
    assert form.values["node"] == ["n1"]
    before = (await api.context.store.certificates.get(1)).changed_s
    answer = await browser.post_confirmed(
        "/certificates/1/edit",
        {
            "certificate": form.values["certificate"][0].replace("\n", "\r\n"),
            "parameters": "",
            "node": "n2",
            "seen": form.hidden["seen"],
        },
    )
    assert "Saved." in answer.text
    _, entry = await the_only(api)
    assert [place.node for place in entry.places] == ["n2"]
    assert (await api.context.store.certificates.get(1)).changed_s == before


async def test_a_certificate_for_another_key_is_refused_and_what_was_typed_stays(api, browser):
    await add(browser, leaf())
    form = await browser.get("/certificates/1/edit")
    other = leaf("other.example.com")
    answer = await browser.post(
        "/certificates/1/edit",
        {"certificate": other.certificate_pem, "parameters": "", "node": "n1", "seen": form.hidden["seen"]},
    )
    assert answer.status == 400
    assert "which cannot be changed" in answer.text
    assert answer.values["certificate"][0].strip() == other.certificate_pem.strip()
    assert answer.values["node"] == ["n1"]


async def test_the_second_of_two_administrators_is_told_the_difference_and_loses_nothing(api, browser):
    made = leaf()
    await add(browser, made, node="n1")
    async with visitor(api, Role.ADMINISTRATOR) as second:
        first_form, second_form = (
            await browser.get("/certificates/1/edit"),
            await second.get("/certificates/1/edit"),
        )
        text = first_form.values["certificate"][0]
        await browser.post_confirmed(
            "/certificates/1/edit",
            {
                "certificate": f"the first was here\n{text}",
                "node": ["n1", "n2"],
                "seen": first_form.hidden["seen"],
            },
        )
        mine = {"certificate": f"the second was here\n{text}", "node": "n1"}
        told = await second.post("/certificates/1/edit", {**mine, "seen": second_form.hidden["seen"]})
        assert told.status == 409
        assert "stored: the first was here yours: the second was here" in told.text.replace("\xa0", "")
        assert "stored: n2" in told.text
        assert told.values["certificate"][0].strip() == mine["certificate"].strip()
        assert told.values["node"] == ["n1"]
        record = await api.context.store.certificates.get(1)
        assert record.text.startswith("the first was here")
        saved = await second.post_confirmed("/certificates/1/edit", {**mine, "seen": told.hidden["seen"]})
        assert "Saved." in saved.text
    record = await api.context.store.certificates.get(1)
    assert record.text.startswith("the second was here")


async def test_deleting_says_who_loses_what_and_then_does_it(api, browser):
    await add(browser, leaf(), node="n1")
    await add(browser, leaf("spare.example.com"))
    asked = await browser.get("/certificates/delete?id=1&id=2")
    assert "1 of them is in use" in asked.text
    assert "n1" in asked.text
    assert (await browser.get("/certificates/delete")).status == 400
    assert "The only copy of the private keys of certificate 1 ('conf.example.com'" in asked.text
    # who posts without having been asked, or was shown something else, changes nothing
    for confirm in ({}, {"confirm": "x"}):
        assert (await browser.post("/certificates/delete", {"id": ["1", "2"], **confirm})).status == 409
    answer = await browser.post(
        "/certificates/delete", {"id": ["1", "2"], "confirm": asked.hidden["confirm"]}
    )
    assert "Deleted 2 certificates. 1 node now without" in answer.text
    assert (await api.operations.inventory()).entries == {}


async def test_a_download_has_what_was_ticked_under_the_name_of_the_specification(api, browser):
    made = leaf()
    await add(browser, made)
    answer = await browser.post("/certificates/download", {"id": "1", "leaf": "1", "format": "pem"})
    assert answer.headers["Content-Disposition"] == 'attachment; filename="conf.example.com_certificate.pem"'
    assert answer.body.decode() == made.certificate_pem
    with_key = {"id": "1", "leaf": "1", "key": "1", "format": "pfx", "passphrase": PHRASE, "again": PHRASE}
    answer = await browser.post("/certificates/download", with_key)
    assert "conf.example.com_keycert.pfx" in answer.headers["Content-Disposition"]
    for wrong, said in (({"again": "differs"}, "differ"), ({"passphrase": "", "again": ""}, "passphrase")):
        answer = await browser.post("/certificates/download", {**with_key, **wrong})
        assert answer.status == 400
        assert said in answer.text
        assert PHRASE not in answer.html


async def test_private_keys_are_for_administrators(api, browser):
    await add(browser, leaf())
    async with visitor(api, Role.OPERATOR) as operator:
        assert "private key" not in (await operator.get("/certificates/download?id=1")).text
        answer = await operator.post(
            "/certificates/download",
            {"id": "1", "key": "1", "format": "pem", "passphrase": PHRASE, "again": PHRASE},
        )
        assert answer.status == 403
        assert (await operator.get("/certificates/1")).html.count("Delete") == 0


async def test_imported_files_are_sorted_and_refused_as_a_whole(api, browser):
    made = leaf()
    files = {"files": ("all.pem", (made.certificate_pem + made.key_pem + ROOT.certificate_pem).encode())}
    answer = await browser.post("/certificates/import", {}, files=files)
    assert "Imported: 1 TLS certificate, 0 trusted CAs" in answer.text or "1 trusted CA" in answer.text
    bad = {"files": ("bad.pem", b"-----BEGIN CERTIFICATE-----\n" + base64.b64encode(b"x" * 30) + b"\n")}
    answer = await browser.post("/certificates/import", {}, files=bad)
    assert answer.status == 400
    assert "bad.pem, block 1" in answer.text


async def test_what_cannot_be_used_is_left_out_on_demand_and_listed(api, browser):
    made = leaf()
    text = (made.certificate_pem + made.key_pem + ROOT.certificate_pem[:90]).encode()
    answer = await browser.post(
        "/certificates/import", {"skip_unusable": "1"}, files={"files": ("enc.key", text)}
    )
    assert "Imported: 1 TLS certificate, 0 trusted CAs" in answer.text
    assert "Left out: 1 finding" in answer.text
    assert "enc.key, block 3, line" in answer.text


async def test_an_empty_file_that_was_chosen_is_named_and_none_chosen_is_nothing(api, browser):
    answer = await browser.post("/certificates/import", {}, files={"files": ("empty.pem", b"")})
    assert answer.status == 400
    assert "empty.pem: the file is empty" in answer.text
    made = leaf()
    fields = {"certificate": made.certificate_pem, "private_key": made.key_pem, "preview": "1"}
    answer = await browser.post("/certificates/new", fields, files={"private_key_file": ("empty.key", b"")})
    assert answer.status == 400
    assert "empty.key: the file is empty" in answer.text
    answer = await browser.post("/certificates/new", fields, files={"private_key_file": ("", b"")})
    assert answer.status == 200


@pytest.mark.parametrize("form", ["der", "pkcs12", "utf-16"])
async def test_a_chosen_file_is_read_whatever_form_it_has(api, browser, form):
    made = leaf()
    sealed = pkcs12.serialize_key_and_certificates(
        None, made.key, made.certificate, None, BestAvailableEncryption(PHRASE.encode())
    )
    data = {"der": made.certificate_der, "pkcs12": sealed, "utf-16": made.certificate_pem.encode("utf-16")}[
        form
    ]
    fields = {"private_key": "" if form == "pkcs12" else made.key_pem, "passphrase": PHRASE}
    answer = await browser.post("/certificates/new", fields, files={"certificate_file": ("Site.bin", data)})
    assert answer.path == "/certificates/1", answer.text


async def test_a_form_that_is_too_large_or_no_form_is_refused_and_named(api, browser):
    big = {"files": ("big.pem", b"x" * (13 * 1024 * 1024))}
    answer = await browser.post("/certificates/import", {}, files=big)
    assert answer.status == 413
    csrf = (await browser.get("/")).hidden["csrf"]
    async with browser.session.post(
        f"{browser.url}/certificates/new",
        data=b"--x\r\nnonsense",
        headers={"Content-Type": "multipart/form-data; boundary=x"},
    ) as answer:
        assert answer.status == 400
    async with browser.session.post(
        f"{browser.url}/certificates/new",
        data=f"csrf={csrf}&certificate=%ff".encode(),
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    ) as answer:
        assert answer.status == 400


async def test_another_key_of_the_same_serial_number_takes_the_place_only_of_what_was_shown(api, browser):
    made = [pki.make_leaf(ISSUER, [f"{name}.example.com"], serial=1) for name in ("one", "two", "three")]
    fields = [
        {"certificate": each.certificate_pem + ISSUER.certificate_pem, "private_key": each.key_pem}
        for each in made
    ]
    await browser.post("/certificates/new", fields[0], files={})
    asked = await browser.post("/certificates/new", fields[1], files={})
    assert asked.status == 409
    for said in ("one.example.com", "two.example.com", "but another private key", "lost for good"):
        assert said in asked.text, said
    preview = await browser.post("/certificates/new", {**fields[1], "preview": "1"}, files={})
    assert "Would take the place of one.example.com (certificate 1)" in preview.text
    assert preview.hidden["confirm"] == asked.hidden["confirm"]
    # somebody else replaces it meanwhile: what was confirmed is no longer what would happen
    await api.call("POST", "certificates", {**fields[2], "replace": True})
    confirmed = {**fields[1], "confirm": asked.hidden["confirm"]}
    again = await browser.post("/certificates/new", confirmed, files={})
    assert again.status == 409
    assert "three.example.com" in again.text
    answer = await browser.post(
        "/certificates/new", {**fields[1], "confirm": again.hidden["confirm"]}, files={}
    )
    assert answer.path == "/certificates/1"
    assert await api.context.store.certificates.private_key(1) == made[1].key_pem


async def test_a_certificate_for_another_name_is_not_good_and_one_without_a_node_is_not_blamed(api, browser):
    await add(browser, leaf("conf.example.com"), node="n1")
    await add(browser, leaf("free.example.com"))
    await browser.post("/trusted-cas/import", {"pasted": ROOT.certificate_pem}, files={})
    answer = await browser.get("/certificates?order=status")
    rows = answer.text[answer.text.index("Nodes Issuer") :]
    wrong, free = rows.index("conf.example.com"), rows.index("free.example.com")
    assert wrong < free, "the worst first"
    assert "Good" not in rows[wrong:free]
    assert "Good" in rows[free:]
    assert "finding" not in rows[free:]


async def test_acts_on_nothing_are_answered_in_the_list(api, browser):
    await add(browser, leaf())
    for act in ("delete", "download"):
        answer = await browser.get(f"/certificates/{act}")
        assert answer.status == 400
        assert "Tick at least one certificate first." in answer.text
        assert "conf.example.com" in answer.text


async def test_a_mixed_download_leaves_temporary_ones_out_and_says_so(api, browser):
    await add(browser, leaf())
    own = pki.current_leaf(None, ["own.example.com"])
    await browser.post(
        "/certificates/new", {"certificate": own.certificate_pem, "private_key": own.key_pem}, files={}
    )
    answer = await browser.get("/certificates/download?id=1&id=2")
    assert "1 temporary certificate is left out" in answer.text
    assert answer.values["id"] == ["1"]
    alone = await browser.get("/certificates/download?id=2")
    assert alone.status == 400
    assert "no other was chosen" in alone.text


async def test_an_edit_that_asks_says_that_the_passphrase_must_be_given_again(api, browser):
    key = pki.make_key()
    former, renewed = (pki.make_leaf(ISSUER, [name], key=key) for name in ("a.example.com", "b.example.com"))
    await add(browser, former)
    form = await browser.get("/certificates/1/edit")
    fields = {"certificate": renewed.certificate_pem, "seen": form.hidden["seen"]}
    plain = await browser.post("/certificates/1/edit", fields, files={})
    assert plain.status == 409
    assert "passphrase again" not in plain.text
    asked = await browser.post("/certificates/1/edit", {**fields, "passphrase": PHRASE}, files={})
    assert asked.status == 409
    assert "Give the passphrase again" in asked.text
    assert PHRASE not in asked.html


async def test_the_root_that_came_along_is_trusted_by_one_click(api, browser):
    made = leaf()
    text = made.certificate_pem + ISSUER.certificate_pem + ROOT.certificate_pem
    await browser.post("/certificates/new", {"certificate": text, "private_key": made.key_pem}, files={})
    shown = await browser.get("/certificates/1")
    assert "Untrusted root" in shown.text
    assert "Good" not in shown.text
    chain = shown.html[shown.html.index('<ol class="chain">') :]
    assert [part.partition('"')[0] for part in chain.split('<li class="')[1:4]] == ["open", "open", "bad"]
    other = await browser.post("/certificates/1/trust-root", {"fingerprint": "0" * 64})
    assert other.status == 409
    answer = await browser.post("/certificates/1/trust-root", {"fingerprint": shown.hidden["fingerprint"]})
    assert "is a trusted CA now" in answer.text
    assert "Untrusted root" not in answer.text
    again = await browser.post("/certificates/1/trust-root", {"fingerprint": shown.hidden["fingerprint"]})
    assert again.status == 409


async def test_help_version_and_the_api_are_linked_and_the_icon_is_where_it_always_was(api, browser):
    answer = await browser.get("/help")
    assert 'href="/api/certcast/v1/docs"' in answer.html
    assert version("certcast") in answer.text
    icon = await browser.get("/favicon.ico")
    assert (icon.status, icon.headers["Content-Type"]) == (200, "image/svg+xml; charset=utf-8")


async def test_no_list_calls_good_what_clients_of_its_node_refuse(api, browser):
    await api.operations.trust.take(ROOT.certificate_pem, actor="test")
    await add(browser, leaf("elsewhere.example.com"), node="n1")
    for path in ("/certificates", "/certificates/by-node", "/nodes/n1/slots/server"):
        answer = await browser.get(path)
        row = next(each for each in answer.html.split("<tr>") if "elsewhere.example.com</" in each)
        assert "Wrong name" in row, path
        assert "Good" not in row, path


@pytest.mark.parametrize("path", ["/push", "/trusted-cas/delete", "/requests/delete", "/certificates/delete"])
async def test_an_act_on_nothing_is_refused_above_the_list(browser, path):
    answer = await browser.get(path)
    assert answer.status == 400
    assert "Nothing was done Tick at least one" in answer.text
    assert "go back" not in answer.text
