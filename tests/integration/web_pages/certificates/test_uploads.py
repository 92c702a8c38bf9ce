"""Certificates that are typed, uploaded and imported on pages."""

import base64
import time

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
    pkcs12,
)
from cryptography.x509.oid import ExtendedKeyUsageOID

from tests import pki
from tests.integration.web_pages.certificates.conftest import ISSUER, PHRASE, ROOT, add, leaf, the_only


def encrypted(made: pki.Made) -> str:
    key = load_pem_private_key(made.key_pem.encode(), None)
    cipher = BestAvailableEncryption(PHRASE.encode())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, cipher).decode()


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


async def test_a_preview_of_a_certificate_for_clients_alone_does_not_say_that_clients_accept_it(browser, api):
    await api.use_cases.trust.take(ROOT.certificate_pem, actor="ada")
    now_s = int(time.time())
    usages, ends_s = [ExtendedKeyUsageOID.CLIENT_AUTH], now_s + 90 * pki.DAY_S
    made = pki.make_leaf(ISSUER, usages=usages, not_before_s=now_s - pki.DAY_S, not_after_s=ends_s)
    answer = await add(browser, made, preview="1")
    assert "As a client's certificate, a strict server would accept it now." in answer.text
    assert "A strict client would accept it" not in answer.text


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
    assert (await api.use_cases.inventory()).entries == {}


async def test_a_script_is_given_the_preview_alone(api, browser):
    made = leaf()
    answer = await browser.post(
        "/certificates/new",
        {"certificate": made.certificate_pem, "private_key": made.key_pem, "preview": "1"},
        headers={"HX-Request": "true"},
    )
    assert answer.html.lstrip().startswith("<section")


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
