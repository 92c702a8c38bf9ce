"""The pages that list, show and hand out certificates."""

from importlib.metadata import version

import pytest

from common.api.codes import Role
from tests import pki
from tests.integration.web import visitor
from tests.integration.web_pages.certificates.conftest import ISSUER, PHRASE, ROOT, add, leaf


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
    await api.use_cases.trust.take(ROOT.certificate_pem, actor="test")
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


async def test_help_version_and_the_api_are_linked_and_the_icon_is_where_it_always_was(api, browser):
    answer = await browser.get("/help")
    assert 'href="/api/certcast/v1/docs"' in answer.html
    assert version("certcast") in answer.text
    icon = await browser.get("/favicon.ico")
    assert (icon.status, icon.headers["Content-Type"]) == (200, "image/svg+xml; charset=utf-8")


async def test_no_list_calls_good_what_clients_of_its_node_refuse(api, browser):
    await api.use_cases.trust.take(ROOT.certificate_pem, actor="test")
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
