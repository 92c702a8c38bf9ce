"""Importing, downloading, requesting, editing and looking after certificates over the real API, with the real openssl beside it."""

import asyncio
import base64
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from common.api.certificates import CertificateAnswer
from common.api.codes import Role
from manager.api import certificates
from manager.api.answers import certificate_answer
from manager.http.pieces import listed
from manager.usecases.certificate_views import ListedCertificate
from manager.usecases.workers import Workers
from tests import pki
from tests.conftest import find_program
from tests.integration.api import ApiClient, real_api
from tests.patience import ended
from tests.unit.pki.openssl import openssl, sign_request

ROOT, ISSUER = pki.current_ca("Catalogue")
PHRASE = "a-passphrase-for-files"


@pytest.fixture(scope="module")
def workers():
    made = Workers()
    yield made
    asyncio.run(made.__aexit__(None, None, None))


@pytest.fixture
async def api(tmp_path: Path, workers: Workers):
    (tmp_path / "store").mkdir()
    async with real_api(tmp_path / "store", workers) as client:
        yield client


def file(name: str, content: str | bytes) -> dict[str, str]:
    data = content.encode() if isinstance(content, str) else content
    return {"name": name, "content": base64.b64encode(data).decode()}


async def upload(api: ApiClient, made: pki.Made, **more) -> dict:
    body = {"certificate": made.certificate_pem + ISSUER.certificate_pem, "private_key": made.key_pem, **more}
    status, kept = await api.call("POST", "certificates", body)
    assert status in {200, 201}, kept
    return kept


async def add_node(api: ApiClient, name: str = "n1") -> None:
    assert (await api.call("POST", "nodes", {"name": name}))[0] == 201


async def trust(api: ApiClient, *made: pki.Made) -> list[dict]:
    status, kept = await api.call("POST", "trusted-cas", {"certificates": pki.chain_pem(*made)})
    assert status == 201
    return kept["trusted_cas"]


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


@pytest.mark.parametrize("form", ["pem", "pfx", "pfx_legacy"])
async def test_a_download_with_its_key_opens_in_openssl(api: ApiClient, tmp_path: Path, form: str):
    made = pki.current_leaf(ISSUER, ["one.example.test"])
    kept = await upload(api, made)
    await trust(api, ROOT)
    body = {"ids": [kept["id"]], "format": form, "include_key": True, "passphrase": PHRASE}
    status, content = await api.call("POST", "certificates/download", body)
    assert status == 200
    (tmp_path / "file").write_bytes(content)
    if form == "pem":
        opened = content.decode() + openssl("pkey", "-in", "file", "-passin", f"pass:{PHRASE}", cwd=tmp_path)
    else:
        legacy = ["-legacy"] if form == "pfx_legacy" else []
        opened = openssl(
            "pkcs12", "-in", "file", "-nodes", *legacy, "-passin", f"pass:{PHRASE}", cwd=tmp_path
        )
    assert opened.count("BEGIN CERTIFICATE") == 2, "the leaf and its intermediate, never the root"
    assert made.key_pem.splitlines()[1] in opened


NGINX = """\
daemon off; master_process off; pid {0}/pid; error_log {0}/log;
events {{}}
http {{
    access_log off; client_body_temp_path {0}/b; proxy_temp_path {0}/p;
    fastcgi_temp_path {0}/f; uwsgi_temp_path {0}/u; scgi_temp_path {0}/s;
    server {{
        listen unix:{0}/socket ssl;
        ssl_certificate {0}/{1}; ssl_certificate_key {0}/{1}; ssl_password_file {0}/passphrase;
    }}
}}
"""


@pytest.mark.services("nginx", "openssl")
async def test_a_downloaded_pem_file_is_all_that_nginx_needs(api: ApiClient, tmp_path: Path):
    await trust(api, ROOT, ISSUER)
    made = pki.current_leaf(ISSUER, ["conf.example.test"])
    kept = await upload(api, made, certificate=made.certificate_pem)
    wanted = {"ids": [kept["id"]], "include_key": True, "passphrase": PHRASE}
    status, content = await api.call("POST", "certificates/download", wanted)
    assert status == 200
    (tmp_path / "keycert.pem").write_bytes(content)
    (tmp_path / "passphrase").write_text(PHRASE)
    (tmp_path / "root.pem").write_text(ROOT.certificate_pem)
    (tmp_path / "nginx.conf").write_text(NGINX.format(tmp_path, "keycert.pem"))
    nginx = await asyncio.create_subprocess_exec(
        *(find_program("nginx"), "-e", tmp_path / "log", "-c", tmp_path / "nginx.conf")
    )
    try:
        while not (tmp_path / "socket").exists():
            assert nginx.returncode is None, (tmp_path / "log").read_text()
            await asyncio.sleep(0.02)
        arguments = ("-unix", "socket", "-servername", "conf.example.test", "-verify_return_error")
        trusting = ("-CAfile", "root.pem", "-verify_hostname", "conf.example.test")
        seen = await asyncio.to_thread(openssl, "s_client", *arguments, *trusting, cwd=tmp_path, stdin="")
    finally:
        nginx.terminate()
        await ended(nginx)
    assert "Verify return code: 0 (ok)" in seen
    assert "1 s:CN = Catalogue Issuing" in seen


async def test_a_key_is_downloaded_by_administrators_only_encrypted_only_and_not_unseen(api: ApiClient):
    kept = await upload(api, pki.current_leaf(ISSUER, ["one.example.test"]))
    body = {"ids": [kept["id"]], "include_key": True, "passphrase": PHRASE}
    for role in (Role.READ_ONLY, Role.OPERATOR):
        assert (await api.call("POST", "certificates/download", body, role=role))[0] == 403
        assert (await api.call("POST", "certificates/download", {"ids": [kept["id"]]}, role=role))[0] == 200
    status, refused = await api.call("POST", "certificates/download", {**body, "passphrase": "short"})
    assert (status, refused["error"]["field"]) == (400, "passphrase")
    assert (await api.call("POST", "certificates/download", body))[0] == 200
    entries = (await api.call("GET", "audit"))[1]["entries"]
    assert [each["subject"] for each in entries if each["action"] == "key.exported"] == [
        "one.example.test_keycert.pem"
    ]


async def test_downloads_are_named_as_specified_and_temporary_certificates_refused(api: ApiClient):
    await add_node(api)
    first = await upload(api, pki.current_leaf(ISSUER, ["one.example.test"]))
    second = await upload(api, pki.current_leaf(ISSUER, ["two.example.test"]))
    temporary = next(
        each for each in (await api.call("GET", "certificates"))[1]["certificates"] if each["temporary"]
    )

    async def name(**body) -> str:
        url = f"{api.url}/api/certcast/v1/certificates/download"
        headers = {"Authorization": "Basic YWRtaW5pc3RyYXRvcjphLWxvbmctZW5vdWdoLXBhc3N3b3Jk"}
        async with api.session.post(url, json=body, headers=headers) as answer:
            assert answer.status == 200, await answer.text()
            return answer.headers["Content-Disposition"].partition("filename=")[2].strip('"')

    one, both, key = [first["id"]], [first["id"], second["id"]], {"include_key": True, "passphrase": PHRASE}
    assert await name(ids=one) == "one.example.test_certificate.pem"
    assert await name(ids=one, format="pfx", **key) == "one.example.test_keycert.pfx"
    assert await name(ids=both) == "all_certificates.pem"
    assert await name(ids=both, format="pfx", **key) == "all_keycerts.pfx"
    status, refused = await api.call("POST", "certificates/download", {"ids": [*one, temporary["id"]]})
    assert (status, "temporary" in refused["error"]["message"]) == (400, True)


async def test_a_request_is_signed_by_a_real_ca_and_its_answer_takes_over_the_nodes(
    api: ApiClient, tmp_path: Path
):
    await add_node(api, "n1")
    await add_node(api, "n2")
    await trust(api, ROOT, ISSUER)
    old = await upload(api, pki.current_leaf(ISSUER, ["conf.example.test"]), nodes=["n1", "n2"])
    wanted = {
        "certificate": old["id"],
        "extra_subject_alt_names": ["new.example.test", "192.0.2.9"],
        "private_key_type": "ECDSAP256",
        "ad_compatible": True,
    }
    status, request = await api.call("POST", "requests", wanted)
    assert status == 201
    (tmp_path / "csr.pem").write_text(request["csr"])
    text = openssl("req", "-in", "csr.pem", "-verify", "-noout", "-text", cwd=tmp_path)
    for part in (
        "CN = conf.example.test",
        "DNS:conf.example.test, DNS:new.example.test, IP Address:192.0.2.9",
    ):
        assert part in text
    assert "1.3.6.1.4.1.311.20.2" in text
    answer = sign_request(request["csr"], ISSUER, cwd=tmp_path)
    status, kept = await api.call(
        "POST", f"requests/{request['id']}/answer", {"certificate": answer, "take_over": True}
    )
    assert (status, kept["created"], kept["status"], kept["chain_state"]) == (200, True, "Good", "complete")
    assert kept["nodes"] == [{"node": "n1", "slot": "server"}, {"node": "n2", "slot": "server"}]
    assert (await api.call("GET", f"certificates/{old['id']}"))[1]["nodes"] == []
    again = (await api.call("GET", f"requests/{request['id']}"))[1]
    assert (again["replaces"], again["answered_by"]) == (old["id"], kept["id"])


async def test_an_answer_to_another_request_is_refused_and_changes_nothing(api: ApiClient, tmp_path: Path):
    wanted = {"subject": "CN=a.example.test", "subject_alt_names": ["a.example.test"]}
    wanted = {**wanted, "private_key_type": "ECDSAP256"}
    _, mine = await api.call("POST", "requests", wanted)
    _, other = await api.call("POST", "requests", wanted)
    answer = sign_request(other["csr"], ISSUER, cwd=tmp_path)
    status, refused = await api.call("POST", f"requests/{mine['id']}/answer", {"certificate": answer})
    assert (status, refused["error"]["reason"]) == (400, "key_mismatch")
    assert f"request {mine['id']}" in refused["error"]["message"]
    assert (await api.call("GET", "certificates"))[1]["total"] == 0
    assert (await api.call("GET", f"requests/{mine['id']}"))[1]["answered_by"] is None


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
        async for piece in listed(empty, parts):
            yield piece
            made.append(0)

    monkeypatch.setattr(certificates, "AT_ONCE", 2)
    monkeypatch.setattr(certificates, "certificate_answer", watched)
    monkeypatch.setattr(certificates, "listed", counted)
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


async def test_an_alarm_is_raised_acknowledged_and_lowered_into_history(api: ApiClient):
    await add_node(api)
    await upload(api, pki.current_leaf(ISSUER, ["one.example.test"], days=10), nodes=["n1"])
    await api.operations.alarms.evaluate(api.fleet)
    alarms = (await api.call("GET", "alarms"))[1]["alarms"]
    assert {each["kind"] for each in alarms} == {"chain_incomplete", "certificate_expiring"}
    chain = next(each for each in alarms if each["kind"] == "chain_incomplete")
    assert "CN=Catalogue Root not found" in chain["details"]
    ids = {"ids": [chain["id"]]}
    assert (await api.call("POST", "alarms/acknowledge", ids, role=Role.READ_ONLY))[0] == 403
    assert (await api.call("POST", "alarms/acknowledge", ids, role=Role.OPERATOR))[0] == 204
    await trust(api, ROOT)
    await api.operations.alarms.evaluate(api.fleet)
    assert [each["kind"] for each in (await api.call("GET", "alarms"))[1]["alarms"]] == [
        "certificate_expiring"
    ]
    (past,) = (await api.call("GET", "alarms/history"))[1]["alarms"]
    assert (past["id"], past["acknowledged_by"], past["lowered_s"] >= past["raised_s"]) == (
        chain["id"],
        "operator",
        True,
    )
    assert (await api.call("POST", "alarms/acknowledge", ids))[0] == 404


async def test_losing_many_trusted_cas_wants_confirmation(api: ApiClient):
    made = [pki.current_ca(f"Number {number}")[0] for number in range(6)]
    kept = await trust(api, *made)
    ids = [each["id"] for each in kept]
    assert (await api.call("DELETE", f"trusted-cas/{ids[0]}"))[0] == 204, "one of six is less than a fifth"
    status, refused = await api.call("POST", "trusted-cas/delete", {"ids": ids[1:3]})
    assert (status, "drops 2 of 5" in refused["error"]["message"]) == (409, True)
    status, refused = await api.call(
        "PATCH", f"trusted-cas/{ids[1]}", {"certificate": pki.current_ca("Else")[0].certificate_pem}
    )
    assert status == 200, "one of five is a fifth"
    assert (await api.call("POST", "trusted-cas/delete", {"ids": ids[1:], "force": True}))[0] == 204
    assert (await api.call("GET", "trusted-cas"))[1]["trusted_cas"] == []


async def test_trusted_cas_are_shown_changed_and_exported(api: ApiClient):
    root, issuer = await trust(api, ROOT, ISSUER)
    assert (root["trusted_intermediate"], issuer["trusted_intermediate"]) == (False, True)
    path = f"trusted-cas/{issuer['id']}"
    status, refused = await api.call("PATCH", path, {"trusted_intermediate": False})
    assert (status, "drops 1 of 2" in refused["error"]["message"]) == (409, True)
    status, shown = await api.call("PATCH", path, {"trusted_intermediate": False, "force": True})
    assert (status, shown["trusted_intermediate"], shown["status"]) == (200, False, "Good")
    assert "Subject: CN = Catalogue Issuing" in shown["text"]
    # it verifies nobody any more, so that changing it loses nothing
    again = ISSUER.certificate_pem.replace("\n", "\r\n")
    assert (await api.call("PATCH", path, {"certificate": again}))[1]["certificate"] == again
    _, exported = await api.call("GET", "trusted-cas/export")
    assert exported.decode() == pki.chain_pem(ROOT, ISSUER)
    assert len((await api.call("GET", "trusted-cas/builtin"))[1]["builtin"]) == 1
