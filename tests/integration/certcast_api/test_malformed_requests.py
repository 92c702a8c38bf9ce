"""Certificates and keys that are strange, costly or lead elsewhere, over the real API."""

import asyncio
import socket
import time
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtensionOID

from manager.usecases.workers import READ_TIMEOUT_S, Workers
from tests import pki
from tests.integration.api import ApiClient
from tests.unit.pki.openssl import openssl

ROOT, ISSUER = pki.current_ca("Strange")


def life() -> dict[str, int]:
    now_s = int(time.time())
    return {"not_before_s": now_s - 3600, "not_after_s": now_s + 90 * pki.DAY_S}


async def test_urls_in_a_certificate_are_shown_and_never_followed(api: ApiClient, tmp_path: Path):
    with socket.create_server(("127.0.0.1", 0)) as trap:
        trap.settimeout(0.2)
        url = x509.UniformResourceIdentifier(f"http://127.0.0.1:{trap.getsockname()[1]}/ca")
        about = [
            x509.AccessDescription(kind, url)
            for kind in (AuthorityInformationAccessOID.CA_ISSUERS, AuthorityInformationAccessOID.OCSP)
        ]
        lists = [x509.DistributionPoint([url], None, None, None)]
        links = [
            (x509.AuthorityInformationAccess(about), False),
            (x509.CRLDistributionPoints(lists), False),
            (x509.FreshestCRL(lists), False),
        ]
        low = pki.make_intermediate(ROOT, "Linking", extensions=links, **life())
        # the issuer is missing, and the certificate says where it could be fetched
        leaf = pki.make_leaf(low, ["conf.example.test"], extensions=links, **life())
        status, kept = await api.call(
            "POST", "certificates", {"certificate": leaf.certificate_pem, "private_key": leaf.key_pem}
        )
        assert (status, kept["chain_state"]) == (201, "incomplete")
        shown = (await api.call("GET", f"certificates/{kept['id']}"))[1]
        assert url.value in shown["text"]
        await api.use_cases.alarms.evaluator.evaluate(api.fleet)
        await api.call("POST", "certificates/download", {"ids": [kept["id"]]})
        assert (await api.call("POST", "trusted-cas", {"certificates": low.certificate_pem}))[0] == 201
        assert (await api.call("GET", "certificates"))[0] == 200
        with pytest.raises(TimeoutError):
            trap.accept()


async def test_a_certificate_with_a_field_that_cannot_be_decoded_is_kept_and_breaks_no_list(api: ApiClient):
    # OpenSSL loads it all the same: it reads where an issuer can be fetched only if it is asked
    unreadable = x509.UnrecognizedExtension(ExtensionOID.AUTHORITY_INFORMATION_ACCESS, b"\x30\x05\x02\x01")
    made = pki.make_leaf(ISSUER, ["node.example.com"], extensions=[(unreadable, False)], **life())
    assert (await api.call("POST", "nodes", {"name": "n1"}))[0] == 201
    body = {"certificate": made.certificate_pem, "private_key": made.key_pem, "nodes": ["n1"]}
    status, kept = await api.call("POST", "certificates", body)
    assert status == 201
    for order in ("subject", "-expiry", "issuer"):
        status, page = await api.call("GET", f"certificates?order={order}&search=node")
        assert (status, [one["id"] for one in page["certificates"]]) == (200, [kept["id"]])
    shown = (await api.call("GET", f"certificates/{kept['id']}"))[1]
    assert [one["message"] for one in shown["findings"] if one["code"] == "odd_encoding"] != []
    assert "CN = node.example.com" in shown["text"]
    await api.use_cases.alarms.evaluator.evaluate(api.fleet)
    assert (await api.call("GET", "alarms"))[0] == 200
    by_node = (await api.call("GET", "certificates/by-node"))[1]
    assert kept["id"] in [one["certificate"]["id"] for one in by_node["slots"] if one["certificate"]]
    (plan,) = await api.fleet.push(["n1"], forced=False)
    assert plan.generation is not None


async def test_the_api_goes_on_answering_while_a_costly_key_is_opened(
    api: ApiClient, workers: Workers, tmp_path: Path
):
    made = pki.make_leaf(ISSUER, **life())
    (tmp_path / "key.pem").write_text(made.key_pem)
    sealing = ("pkcs8", "-topk8", "-in", "key.pem", "-iter", "2000000", "-passout", "pass:word")
    costly = await asyncio.to_thread(openssl, *sealing, cwd=tmp_path)
    await api.call("GET", "whoami")
    await workers.run(READ_TIMEOUT_S, len, [])  # the processes are up
    answered = []

    async def ask() -> None:
        while True:
            answered.append((await api.call("GET", "certificates"))[0])

    async with asyncio.TaskGroup() as group:
        asking = group.create_task(ask())
        body = {
            "certificate": made.certificate_pem,
            "private_key": costly,
            "private_key_passphrase": "word",
        }
        status, _ = await api.call("POST", "certificates", body)
        asking.cancel()
    assert status == 201
    assert set(answered) == {200}
    assert len(answered) > 5, "on the loop, opening the key would have let nobody else be answered"
