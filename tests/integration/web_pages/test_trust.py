from typing import get_args

from common.api.codes import Role
from common.codes import ConfigurationCode, WaitReason
from common.errors import Reason
from common.explained.findings import FINDINGS
from common.explained.statuses import CHAIN_STATES, STATUSES
from common.pki.certificate import decode
from common.pki.path import LinkProblem
from common.pki.pem import pem_of
from manager.domain.alarms import AlarmKind
from manager.domain.comparison import DifferenceCode
from manager.domain.consequences import ConsequenceCode
from manager.domain.view import State
from manager.usecases.kept import new_trusted_ca
from tests import odd, pki
from tests.integration.api import ApiClient
from tests.integration.web import Visitor, visitor

ROOT, ISSUER = pki.current_ca("Trust Pages")
OTHERS = [pki.current_ca(f"Other {number}")[0] for number in range(6)]


async def paste(browser: Visitor, *made: pki.Made):
    return await browser.post("/trusted-cas/import", {"pasted": pki.chain_pem(*made)}, files={})


async def names(api: ApiClient) -> set[str]:
    return {each.record.subject_name for each in await api.use_cases.trust.list()}


async def test_files_and_pasted_text_are_imported_together_and_sorted(api, browser):
    leaf = pki.current_leaf(ISSUER, ["conf.example.com"])
    answer = await browser.post(
        "/trusted-cas/import",
        {"pasted": OTHERS[0].certificate_pem},
        files={"files": ("ca.der", ROOT.certificate_der)},
    )
    assert "Imported: 0 TLS certificates, 2 trusted CAs" in answer.text
    answer = await browser.post(
        "/trusted-cas/import", {"pasted": leaf.certificate_pem + leaf.key_pem}, files={}
    )
    assert "Imported: 1 TLS certificate, 0 trusted CAs" in answer.text
    assert await names(api) == {"Trust Pages Root", "Other 0 Root"}


async def test_a_refused_import_says_every_finding_and_gives_no_key_back(api, browser):
    leaf = pki.current_leaf(ISSUER, ["conf.example.com"])
    text = f"{leaf.certificate_pem}{pki.current_leaf(None, ['x']).key_pem}"
    answer = await browser.post("/trusted-cas/import", {"pasted": text}, files={})
    assert answer.status == 400
    assert "what was pasted" in answer.text.lower()
    assert answer.values["pasted"][0].strip() == leaf.certificate_pem.strip()
    assert "Nothing was imported" in answer.text
    assert await names(api) == set()


async def test_one_that_openssl_cannot_load_is_refused_and_one_that_stands_already_is_shown_as_held_out(
    api, browser
):
    odd = pki.spoiled(pki.make_root("Gerate CA"), b"Gerate", b"Ger\xe4te")
    answer = await browser.post("/trusted-cas/import", {"pasted": pem_of(odd)}, files={})
    assert answer.status == 400
    assert "cannot be loaded by OpenSSL" in answer.text
    ((record, _),) = await api.context.store.trusted_cas.add([new_trusted_ca(decode(odd))], now_s=pki.NOW_S)
    assert "Held out" in (await browser.get("/trusted-cas")).text
    shown = (await browser.get(f"/trusted-cas/{record.id}")).text
    assert "nodes do not get it, because OpenSSL cannot load it" in shown
    assert "UTF8String that is not UTF-8" in shown


async def test_every_code_that_a_page_shows_is_explained_on_one_page(browser):
    answer = await browser.get("/findings")
    kinds = {
        "reason": Reason,
        "node_state": get_args(State),
        "alarm": AlarmKind,
        "configuration": ConfigurationCode,
        "wait": get_args(WaitReason),
        "difference": DifferenceCode,
        "consequence": ConsequenceCode,
        "problem": LinkProblem,
    }
    anchors = [row.anchor for row in (*FINDINGS, *STATUSES, *CHAIN_STATES)]
    anchors += [f"{kind}-{code}" for kind, codes in kinds.items() for code in codes]
    assert [each for each in anchors if answer.html.count(f'<tr id="{each}">') != 1] == []
    assert "is not a program on this node. Install it" in answer.text


async def test_lists_search_custom_and_built_in_ones(api, browser):
    await paste(browser, *OTHERS, ROOT)
    assert "7 trusted CAs" in (await browser.get("/trusted-cas")).text
    found = await browser.get("/trusted-cas?search=other+3")
    assert "1 trusted CA found" in found.text
    assert "Other 3 Root" in found.text
    builtin = await browser.get("/trusted-cas/builtin")
    assert "CN=Anchor" in builtin.text
    assert "No matches." in (await browser.get("/trusted-cas/builtin?search=zzz")).text


async def test_one_is_shown_with_the_certificates_that_need_it(api, browser):
    await paste(browser, ROOT, ISSUER)
    leaf = pki.current_leaf(ISSUER, ["conf.example.com"])
    await api.call("POST", "certificates", {"certificate": leaf.certificate_pem, "private_key": leaf.key_pem})
    answer = await browser.get("/trusted-cas/2")
    assert "An intermediate: it completes the chains" in answer.text
    assert "conf.example.com on 0 nodes" in answer.text


async def test_export_is_one_file_of_all_custom_ones(api, browser):
    await paste(browser, ROOT, OTHERS[0])
    answer = await browser.get("/trusted-cas/export")
    assert answer.headers["Content-Disposition"] == 'attachment; filename="ca-certificates.pem"'
    assert answer.body.decode() == pki.chain_pem(ROOT, OTHERS[0])


async def test_deleting_says_what_breaks_first(api, browser):
    await paste(browser, ROOT, ISSUER)
    leaf = pki.current_leaf(ISSUER, ["conf.example.com"])
    await api.call("POST", "certificates", {"certificate": leaf.certificate_pem, "private_key": leaf.key_pem})
    asked = await browser.get("/trusted-cas/delete?id=1")
    assert "Delete 1 trusted CA of 2?" in asked.text
    assert "1 TLS certificate may be left with an incomplete chain of trust conf.example.com" in asked.text
    assert (await browser.post("/trusted-cas/delete", {"id": "1"})).status == 409
    answer = await browser.post("/trusted-cas/delete", {"id": "1", "confirm": asked.hidden["confirm"]})
    assert "Deleted 1 trusted CA; every node drops them." in answer.text
    assert await names(api) == {"Trust Pages Issuing"}


async def test_editing_asks_before_much_is_lost_and_keeps_what_was_typed(api, browser):
    await paste(browser, ROOT)
    form = await browser.get("/trusted-cas/1/edit")
    fields = {"certificate": OTHERS[1].certificate_pem, "seen": form.hidden["seen"]}
    asked = await browser.post("/trusted-cas/1/edit", fields)
    assert asked.status == 409
    assert "Every node stops trusting 'Trust Pages Root'" in asked.text
    assert "--force" not in asked.text
    assert asked.values["certificate"][0].strip() == OTHERS[1].certificate_pem.strip()
    answer = await browser.post("/trusted-cas/1/edit", {**fields, "confirm": asked.hidden["confirm"]})
    assert "Saved." in answer.text
    assert await names(api) == {"Other 1 Root"}


async def test_the_second_of_two_who_edit_is_told_the_difference(api, browser):
    await paste(browser, ROOT, ISSUER, *OTHERS)
    form = await browser.get("/trusted-cas/2/edit")
    seen = {"seen": form.hidden["seen"]}
    text = form.values["certificate"][0]
    assert (
        "Saved."
        in (
            await browser.post(
                "/trusted-cas/2/edit", {**seen, "certificate": f"theirs\n{text}", "trusted": "1"}
            )
        ).text
    )
    reply = await browser.post(
        "/trusted-cas/2/edit", {**seen, "certificate": f"mine\n{text}", "trusted": "1"}
    )
    assert reply.status == 409
    assert "stored: theirs" in reply.text.replace("\xa0", "")
    assert reply.values["certificate"][0].startswith("mine")
    saved = await browser.post(
        "/trusted-cas/2/edit",
        {"seen": reply.hidden["seen"], "certificate": reply.values["certificate"][0], "trusted": "1"},
    )
    assert "Saved." in saved.text


async def test_who_may_only_look_sees_no_button(api, browser):
    await paste(browser, ROOT)
    async with visitor(api, Role.OPERATOR) as operator:
        for path in ("/trusted-cas", "/trusted-cas/1"):
            page = await operator.get(path)
            for word in ("Delete", "Edit", "Import"):
                assert word not in page.text.partition("Sign out")[2]


async def test_an_odd_root_is_taken_and_shown_with_what_is_odd_about_it(api, browser):
    root = odd.certificate(
        subject=odd.name("Odd * Root", odd.PRINTABLE),
        extensions=[odd.extension(odd.BASIC, odd.seq(odd.TRUE), odd.FALSE)],
    )
    answer = await browser.post("/trusted-cas/import", {"pasted": pem_of(root)}, files={})
    assert "1 trusted CA" in answer.text
    (kept,) = await api.use_cases.trust.list()
    page = (await browser.get(f"/trusted-cas/{kept.record.id}")).text
    assert "Its subject has a PrintableString with '*'." in page
    assert "Its basic constraints says 'critical FALSE', which DER leaves out." in page
    assert "Subject: CN = Odd * Root" in page


async def test_names_that_cannot_be_read_are_shown_as_unknown(api, browser):
    flags = odd.extension(odd.BASIC, odd.seq(odd.TRUE), odd.TRUE)
    root = odd.certificate(extensions=[flags, odd.extension(odd.SAN, odd.seq(b"\x8f\x01a"))])
    await browser.post("/trusted-cas/import", {"pasted": pem_of(root)}, files={})
    (kept,) = await api.use_cases.trust.list()
    page = (await browser.get(f"/trusted-cas/{kept.record.id}")).text
    assert "unknown: they cannot be decoded" in page


async def test_a_self_signed_certificate_that_is_no_ca_is_shown_as_trusted_as_itself(api, browser):
    await paste(browser, pki.current_leaf(None, ["peer.example.com"]))
    assert "trusted as itself" in (await browser.get("/trusted-cas")).text
    (kept,) = await api.use_cases.trust.list()
    page = (await browser.get(f"/trusted-cas/{kept.record.id}")).text
    assert "nodes trust only the certificate itself, and nothing signed by it" in page
