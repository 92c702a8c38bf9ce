"""Certificates over HTTP: a batch of files, lists, edits and deletions."""

import base64
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from common.api.certificates import CertificateAnswer
from common.limits import NOTE_MAX_CHARS
from manager.api import certificates
from manager.api.answers import certificate_answer
from manager.http.pieces import stream_list
from manager.usecases.certificate_views import ListedCertificate
from tests import pki
from tests.integration.api import ApiClient
from tests.integration.certcast_api.catalogue.conftest import ISSUER, PHRASE, ROOT, add_node, upload
from tests.unit.pki.openssl import openssl


def file(name: str, content: str | bytes) -> dict[str, str]:
    data = content.encode() if isinstance(content, str) else content
    return {"name": name, "content": base64.b64encode(data).decode()}


async def test_a_batch_is_sorted_into_certificates_and_trusted_cas(api: ApiClient, tmp_path: Path):
    one, two = pki.current_leaf(ISSUER, ["one.example.test"]), pki.current_leaf(ISSUER, ["two.example.test"])
    for name, text in (("two.crt", two.certificate_pem), ("two.key", two.key_pem)):
        (tmp_path / name).write_text(text)
    openssl(
        "pkcs12",
        "-export",
        "-in",
        "two.crt",
        "-inkey",
        "two.key",
        "-out",
        "two.pfx",
        "-passout",
        f"pass:{PHRASE}",
        cwd=tmp_path,
    )
    status, kept = await api.call(
        "POST",
        "import",
        {
            "files": [
                file("one.pem", one.certificate_pem + ISSUER.certificate_pem),
                file("one.key", one.encrypted_key_pem(PHRASE)),
                file("two.pfx", (tmp_path / "two.pfx").read_bytes()),
                file("root.der", ROOT.certificate_der),
            ],
            "private_key_passphrase": PHRASE,
        },
    )
    assert status == 200
    assert [(each["subject_name"], each["created"]) for each in kept["certificates"]] == [
        ("one.example.test", True),
        ("two.example.test", True),
    ]
    assert [each["subject_name"] for each in kept["trusted_cas"]] == ["Catalogue Root"]
    assert {each["chain_state"] for each in kept["certificates"]} == {"complete", "incomplete"}
    assert kept["certificates"][1]["chain_of_trust"]["missing_issuer"] == "CN=Catalogue Issuing"


async def test_one_bad_file_keeps_the_whole_batch_out_and_every_finding_names_its_file(api: ApiClient):
    good, other = pki.current_leaf(ISSUER, ["one.example.test"]), pki.current_leaf(ISSUER, ["b.example.test"])
    files = [
        file("good.pem", good.certificate_pem + good.key_pem),
        file("lonely.key", other.key_pem),
        file("keyless.pem", pki.current_leaf(ISSUER, ["c.example.test"]).certificate_pem),
    ]
    status, refused = await api.call("POST", "import", {"files": files})
    assert status == 400
    assert {each["file"] for each in refused["error"]["findings"]} == {"lonely.key", "keyless.pem"}
    assert (await api.call("GET", "certificates"))[1] == {"total": 0, "certificates": []}


async def test_an_edit_changes_certificate_parameters_and_nodes_but_never_the_key(api: ApiClient):
    await add_node(api, "n1")
    await add_node(api, "n2")
    made, other = (
        pki.current_leaf(ISSUER, ["one.example.test"]),
        pki.current_leaf(ISSUER, ["two.example.test"]),
    )
    kept = await upload(api, made, nodes=["n1"])
    path = f"certificates/{kept['id']}"
    renewed = pki.make_leaf(ISSUER, ["one.example.test"], key=made.key, not_before_s=1, not_after_s=2**31)
    status, shown = await api.call("PATCH", path, {"certificate": renewed.certificate_pem, "nodes": ["n2"]})
    assert (status, shown["certificate"]) == (200, renewed.certificate_pem)
    assert shown["nodes"] == [{"node": "n2", "slot": "server"}]
    for text in (other.certificate_pem, other.certificate_pem + other.key_pem):
        status, refused = await api.call("PATCH", path, {"certificate": text})
        assert (status, "cannot be changed" in refused["error"]["message"]) == (400, True)
    curve = "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
    assert (await api.call("PATCH", path, {"parameters": curve}))[1]["parameters"] == curve
    assert (await api.call("GET", path))[1]["fingerprint"] == shown["fingerprint"]


async def test_several_certificates_are_deleted_together_or_not_at_all(api: ApiClient):
    await add_node(api)
    held = await upload(api, pki.current_leaf(ISSUER, ["one.example.test"]), nodes=["n1"])
    loose = await upload(api, pki.current_leaf(ISSUER, ["two.example.test"]))
    ids = [held["id"], loose["id"]]
    status, refused = await api.call("POST", "certificates/delete", {"ids": ids})
    assert (status, "n1" in refused["error"]["message"]) == (409, True)
    assert (await api.call("GET", f"certificates/{loose['id']}"))[0] == 200
    status, lost = await api.call("POST", "certificates/delete", {"ids": ids, "force": True})
    assert lost == {"nodes": [{"node": "n1", "slot": "server"}]}
    assert {(await api.call("GET", f"certificates/{number}"))[0] for number in ids} == {404}


async def test_a_list_is_searched_ordered_and_paged(api: ApiClient):
    await add_node(api)
    for days, name in ((10, "b"), (90, "a"), (40, "c")):
        await upload(api, pki.current_leaf(ISSUER, [f"{name}.example.test"], days=days))

    async def names(query: str) -> list[str]:
        answer = (await api.call("GET", f"certificates?{query}"))[1]
        return [each["subject_name"].partition(".")[0] for each in answer["certificates"]]

    assert await names("search=EXAMPLE.test&order=expiry") == ["b", "c", "a"]
    assert await names("search=example.test&order=-subject&offset=1&limit=1") == ["b"]
    assert await names("status=expiring") == ["b", "c"]
    assert await names("node=n1&status=temporary") == ["n1"]
    assert await names("node=") == ["b", "a", "c"]
    for query, field in (
        ("status=fine", "status"),
        ("order=size", "order"),
        ("limit=0", "limit"),
        ("offset=-1", "offset"),
    ):
        status, refused = await api.call("GET", f"certificates?{query}")
        assert (status, refused["error"]["field"]) == (400, field)


async def test_a_long_list_is_sent_in_pieces_and_says_the_same(api: ApiClient, monkeypatch):
    for name in "abcde":
        await upload(api, pki.current_leaf(ISSUER, [f"{name}.example.test"]))
    whole = await api.call("GET", "certificates?order=-subject")
    made: list[int] = []

    def watched(each: ListedCertificate) -> CertificateAnswer:
        made[-1] += 1
        return certificate_answer(each)

    async def counted(empty: object, parts: AsyncIterator[Sequence[object]]) -> AsyncIterator[bytes]:
        made.append(0)
        async for piece in stream_list(empty, parts):
            yield piece
            made.append(0)

    monkeypatch.setattr(certificates, "AT_ONCE", 2)
    monkeypatch.setattr(certificates, "certificate_answer", watched)
    monkeypatch.setattr(certificates, "stream_list", counted)
    assert await api.call("GET", "certificates?order=-subject") == whole
    assert [count for count in made if count] == [2, 2, 1]


async def test_what_each_node_has_is_listed_and_nothing_is_said_where_there_is_nothing(api: ApiClient):
    await add_node(api, "n1")
    await add_node(api, "n2")
    kept = await upload(api, pki.current_leaf(ISSUER, ["one.example.test"]), nodes=["n1"], slot="client")
    await api.call("DELETE", "nodes/n2/slots/server")
    slots = (await api.call("GET", "certificates/by-node"))[1]["slots"]
    found = {(each["node"], each["slot"]): (each["certificate"] or {}).get("id") for each in slots}
    assert found.pop(("n1", "server")) is not None
    assert found == {("n1", "client"): kept["id"], ("n2", "server"): None}


async def test_a_note_is_written_shown_changed_and_taken_away(api: ApiClient):
    hostile = "<script>alert('note')</script>\n{{ 7 * 7 }}"
    kept = await upload(api, pki.current_leaf(ISSUER, ["a.example.test"]), note="Ask Ada first.")
    path = f"certificates/{kept['id']}"
    assert kept["note"] == "Ask Ada first."
    assert (await api.call("PATCH", path, {"note": hostile}))[1]["note"] == hostile
    assert (await api.call("PATCH", path, {"nodes": []}))[1]["note"] == hostile
    assert (await api.call("GET", path))[1]["note"] == hostile
    (listed_one,) = (await api.call("GET", "certificates"))[1]["certificates"]
    assert "note" not in listed_one
    assert (await api.call("PATCH", path, {"note": ""}))[1]["note"] == ""


async def test_a_note_that_is_too_long_or_holds_a_control_character_is_refused(api: ApiClient):
    kept = await upload(api, pki.current_leaf(ISSUER, ["a.example.test"]), note="as it was")
    for note in ("x" * (NOTE_MAX_CHARS + 1), "\x1b]0;title\x07", "a\u202eb", 7):
        status, refused = await api.call("PATCH", f"certificates/{kept['id']}", {"note": note})
        assert status == 400, refused
        assert refused["error"]["field"] == "note"
    assert (await api.call("GET", f"certificates/{kept['id']}"))[1]["note"] == "as it was"
