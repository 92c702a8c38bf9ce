"""Files that are downloaded open where they are used."""

import asyncio
from pathlib import Path

import pytest

from common.api.codes import Role
from tests import pki
from tests.integration.api import ApiClient
from tests.integration.certcast_api.catalogue.conftest import ISSUER, PHRASE, ROOT, add_node, trust, upload
from tests.patience import ended
from tests.programs import find_program
from tests.unit.pki.openssl import openssl


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
