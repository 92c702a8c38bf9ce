"""The pages that edit, replace and delete certificates."""

from common.api.codes import Role
from tests import pki
from tests.integration.web import visitor
from tests.integration.web_pages.certificates.conftest import ISSUER, PHRASE, add, leaf, the_only


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
        shown = await second.post("/certificates/1/edit", {**mine, "seen": second_form.hidden["seen"]})
        assert shown.status == 409
        assert "stored: the first was here yours: the second was here" in shown.text.replace("\xa0", "")
        assert "stored: n2" in shown.text
        assert shown.values["certificate"][0].strip() == mine["certificate"].strip()
        assert shown.values["node"] == ["n1"]
        record = await api.context.store.certificates.get(1)
        assert record.text.startswith("the first was here")
        saved = await second.post_confirmed("/certificates/1/edit", {**mine, "seen": shown.hidden["seen"]})
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
    assert (await api.use_cases.inventory()).entries == {}


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


async def test_a_note_is_written_with_a_certificate_and_changed_apart_from_it(api, browser):
    await add(browser, leaf(), note="Ask Ada first.\r\nTicket 4711")
    assert "Ask Ada first.\nTicket 4711" in (await browser.get("/certificates/1")).html
    form = await browser.get("/certificates/1/edit")
    assert [text.strip() for text in form.values["note"]] == ["Ask Ada first.\nTicket 4711"]
    given = {"certificate": form.values["certificate"][0], "seen": form.hidden["seen"]}
    refused = await browser.post("/certificates/1/edit", {**given, "note": "\x1b[2J and the rest"})
    assert refused.status == 400
    assert "a character in line 1 that cannot be shown: U+001B" in refused.text
    saved = await browser.post_confirmed("/certificates/1/edit", {**given, "note": "<b>bold</b> {{ 7 * 7 }}"})
    assert "&lt;b&gt;bold&lt;/b&gt; {{ 7 * 7 }}" in saved.html
    assert "<b>bold" not in saved.html
    assert (await api.context.store.certificates.get(1)).annotations.note == "<b>bold</b> {{ 7 * 7 }}"


async def test_an_upload_in_place_with_an_empty_field_leaves_the_note(api, browser):
    made = leaf()
    await add(browser, made, note="Ask Ada first.")
    await add(browser, made, note="")
    assert (await api.context.store.certificates.get(1)).annotations.note == "Ask Ada first."


async def test_two_administrators_notes_are_told_apart(api, browser):
    await add(browser, leaf())
    form = await browser.get("/certificates/1/edit")
    given = {"certificate": form.values["certificate"][0], "seen": form.hidden["seen"]}
    await browser.post_confirmed("/certificates/1/edit", {**given, "note": "theirs"})
    shown = await browser.post("/certificates/1/edit", {**given, "note": "mine"})
    assert shown.status == 409
    assert "stored: theirs yours: mine" in shown.text.replace("\xa0", "")
    assert [text.strip() for text in shown.values["note"]] == ["mine"]
