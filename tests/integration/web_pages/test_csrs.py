import pytest
from cryptography import x509

from tests import pki

ROOT, ISSUER = pki.current_ca("Requests")
FIELDS = {"subject": "CN=conf.example.com", "alt_names": "conf.example.com\n192.0.2.7", "server_auth": "1"}


async def test_a_request_is_made_from_a_certificate_answered_and_takes_over_its_nodes(api, browser):
    await api.add_node("n1")
    old = pki.current_leaf(ISSUER, ["conf.example.com", "meet.example.com"])
    body = {"certificate": old.certificate_pem, "private_key": old.key_pem, "nodes": ["n1"]}
    await api.call("POST", "certificates", body)
    form = await browser.get("/requests/new?replaces=1")
    assert form.values["subject"] == ["CN=conf.example.com"]
    assert form.values["alt_names"] == ["conf.example.com\nmeet.example.com"]
    made = await browser.post(
        "/requests/new",
        {
            **FIELDS,
            "replaces": form.hidden["replaces"],
            "kind": "ECDSAP256",
            "alt_names": "conf.example.com, extra.example.com",
        },
    )
    assert made.path == "/requests/1"
    assert "Waits for the CA's answer" in made.text
    file = await browser.get("/requests/1/download")
    assert file.headers["Content-Disposition"] == 'attachment; filename="conf.example.com_request.csr"'
    request = x509.load_pem_x509_csr(file.body)
    names = request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["conf.example.com", "extra.example.com"]
    signed = pki.sign_request(ISSUER, file.body.decode())
    fields = {"certificate": signed + ISSUER.certificate_pem, "take_over": "1"}
    asked = await browser.post("/requests/1/answer", fields, files={})
    assert asked.status == 409
    assert "It lacks names of certificate 1, which it replaces: meet.example.com." in asked.text
    answer = await browser.post(
        "/requests/1/answer", {**fields, "confirm": asked.hidden["confirm"]}, files={}
    )
    assert answer.path == "/certificates/2"
    assert "It goes to 1 node now." in answer.text
    entries = (await api.use_cases.inventory()).entries
    assert [place.node for place in entries[2].places] == ["n1"]
    assert "Answered" in (await browser.get("/requests")).text


async def test_a_key_of_ones_own_is_taken_and_never_given_back(api, browser):
    key = pki.current_leaf(None, ["x"]).key_pem
    refused = await browser.post(
        "/requests/new", {**FIELDS, "subject": "nonsense", "kind": "UPLOAD", "private_key": key}, files={}
    )
    assert refused.status == 400
    assert refused.values["subject"] == ["nonsense"]
    assert refused.values["alt_names"] == [FIELDS["alt_names"]]
    assert refused.values["kind"] == ["UPLOAD"]
    assert "PRIVATE KEY-----" not in refused.html
    assert "Give the key and its passphrase again" in refused.text
    made = await browser.post("/requests/new", {**FIELDS, "kind": "UPLOAD", "private_key": key}, files={})
    assert made.path == "/requests/1"


@pytest.mark.parametrize("kind", ["UPLOAD", "", "RSA512"])
async def test_a_request_without_a_usable_choice_of_key_is_refused(api, browser, kind):
    answer = await browser.post("/requests/new", {**FIELDS, "kind": kind})
    assert answer.status == 400
    assert "No request was made" in answer.text


async def test_an_answer_for_another_key_is_refused_and_stays_in_the_form(api, browser):
    await browser.post("/requests/new", {**FIELDS, "kind": "ECDSAP256"})
    other = pki.current_leaf(ISSUER, ["conf.example.com"])
    answer = await browser.post("/requests/1/answer", {"certificate": other.certificate_pem}, files={})
    assert answer.status == 400
    assert "does not pair with the key of request 1" in answer.text
    assert answer.values["certificate"][0].strip() == other.certificate_pem.strip()


async def test_deleting_says_that_the_key_goes_too(api, browser):
    await browser.post("/requests/new", {**FIELDS, "kind": "ECDSAP256"})
    assert (await browser.get("/requests/delete")).status == 400
    asked = await browser.get("/requests/delete?id=1")
    assert "1 of them is not answered yet." in asked.text
    assert (await browser.post("/requests/delete", {"id": "1"})).status == 409
    answer = await browser.post("/requests/delete", {"id": "1", "confirm": asked.hidden["confirm"]})
    assert "Deleted 1 request." in answer.text
    assert (await browser.get("/requests/1")).status == 404
