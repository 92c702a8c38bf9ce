"""Signing requests over HTTP, answered by a real CA."""

from pathlib import Path

from tests import pki
from tests.integration.api import ApiClient
from tests.integration.certcast_api.catalogue.conftest import ISSUER, ROOT, add_node, trust, upload
from tests.unit.pki.openssl import openssl, sign_request


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
