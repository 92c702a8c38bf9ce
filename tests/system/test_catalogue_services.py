"""What is kept in the catalogue, at work in real services."""

import asyncio
import dataclasses
import ssl
from pathlib import Path

import aiohttp
import pytest

from demo.run import trusting
from demo.services import NGINX
from demo.site import DemoNode
from tests import pki
from tests.patience import ended
from tests.system.fleet import TRUST, openssl_sees, real_fleet, reloads, trusts
from tests.unit.pki.openssl import openssl, sign_request

ROOT, INTERMEDIATE = pki.current_ca("System")
CLIENTS, CLIENTS_ISSUING = pki.current_ca("Clients")

ASKING = """ssl_verify_client on; ssl_verify_depth 3;
        ssl_client_certificate {data}/current/trust/ca-certificates.pem;
        location /"""
VERIFYING = dataclasses.replace(
    NGINX,
    files={"nginx.conf": NGINX.files["nginx.conf"].replace("location /", ASKING)},
    uses='["server", "trust"]',
)


async def answer_to(node: DemoNode, client: pki.Made | None, directory: Path) -> int:
    """Return the HTTP status that a client with this certificate gets."""
    context = trusting()
    if client is not None:
        (directory / "client.pem").write_text(client.key_pem + pki.chain_pem(client, CLIENTS_ISSUING))
        context.load_cert_chain(directory / "client.pem")
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session,
        session.get(f"https://127.0.0.1:{node.port}/") as answer,
    ):
        return answer.status


@pytest.mark.services("nginx")
async def test_a_client_is_accepted_once_its_ca_is_trusted_and_refused_once_it_is_not(tmp_path: Path):
    client = pki.current_leaf(CLIENTS_ISSUING, ["endpoint.example.test"])
    stranger = pki.current_leaf(INTERMEDIATE, ["stranger.example.test"])

    async with real_fleet() as fleet:
        web, other = await fleet.site.add_node("web", VERIFYING), await fleet.site.add_node("other")

        async def until_answered(status: int) -> None:
            # the processes of before a reload may take a connection or two more
            for _ in range(400):
                if (seen := await answer_to(web, client, tmp_path)) == status:
                    return
                await asyncio.sleep(0.05)
            raise AssertionError(f"the client is still answered {seen}")

        await fleet.until(lambda nodes: all(node["state"] == "in_sync" for node in nodes.values()))
        before = reloads(web), reloads(other)
        assert [await answer_to(web, who, tmp_path) for who in (None, client, stranger)] == [400, 400, 400]

        number = await fleet.trust(CLIENTS)
        await fleet.until_trusting(CLIENTS, web, other)
        await until_answered(200)
        assert [await answer_to(web, who, tmp_path) for who in (None, client, stranger)] == [400, 200, 400]

        await fleet.api.call("DELETE", f"trusted-cas/{number}?force=true")
        await fleet.until_trusting(CLIENTS, web, other, trusted=False)
        await until_answered(400)
        assert (reloads(web), reloads(other)) == (before[0] + 2, before[1])


@pytest.mark.services("nginx")
async def test_whoever_connects_from_a_node_verifies_a_server_with_the_delivered_trust_store():
    company, issuing = pki.current_ca("Company")
    async with real_fleet() as fleet:
        web = await fleet.site.add_node("web")
        leaf = await fleet.upload(
            pki.current_leaf(issuing, ["peer.example.test"]), issuing.certificate_pem, ["web"]
        )
        await fleet.until_served(leaf, "web")

        async def connect() -> None:
            trust = ssl.create_default_context(cafile=str(web.data / TRUST))
            _, writer = await asyncio.open_connection(
                "127.0.0.1", web.port, ssl=trust, server_hostname="peer.example.test"
            )
            writer.close()
            await writer.wait_closed()

        with pytest.raises(ssl.SSLCertVerificationError, match="local issuer"):
            await connect()
        await fleet.trust(company)
        await fleet.until_trusting(company, web)
        await connect()


@pytest.mark.services("nginx")
async def test_a_confirmed_loss_of_most_trusted_cas_reaches_a_node_that_was_away_meanwhile():
    kept, *many = (pki.current_ca(f"Number {number}")[0] for number in range(150))
    async with real_fleet() as fleet:
        node = await fleet.site.add_node("n1")
        answer = await fleet.api.call("POST", "trusted-cas", {"certificates": pki.chain_pem(kept, *many)})
        numbers = [one["id"] for one in answer["trusted_cas"]]
        await fleet.until_trusting(many[-1], node)
        agent = fleet.site.processes["n1.log"]
        agent.terminate()
        await ended(agent)

        with pytest.raises(RuntimeError, match="drops 149 of 150"):
            await fleet.api.call("POST", "trusted-cas/delete", {"ids": numbers[1:], "force": False})
        await fleet.api.call("POST", "trusted-cas/delete", {"ids": numbers[1:], "force": True})
        with pytest.raises(RuntimeError, match="repeat it with --force"):
            await fleet.site.run("certcast", "ca", "delete", str(numbers[0]))

        await fleet.site.start_agent(node)
        await fleet.until_trusting(many[-1], node, trusted=False)
        assert trusts(node, kept)
        log = (fleet.site.directory / "n1.log").read_text()
        assert "shrink_guard" not in log, "the first offer carried the confirmation"
        await fleet.site.run("certcast", "ca", "delete", str(numbers[0]), "--force")
        await fleet.until_trusting(kept, node, trusted=False)


@pytest.mark.services("nginx", "openssl")
async def test_a_request_is_answered_by_a_real_ca_and_served_by_nginx(tmp_path: Path):
    async with real_fleet() as fleet:
        web = await fleet.site.add_node("web")
        await fleet.trust(INTERMEDIATE)
        made = pki.current_leaf(INTERMEDIATE, ["conf.example.test"])
        body = {"certificate": made.certificate_pem, "private_key": made.key_pem, "nodes": ["web"]}
        old = await fleet.api.call("POST", "certificates", body)
        await fleet.until_served(old["fingerprint"], "web")

        wanted = {
            "certificate": old["id"],
            "extra_subject_alt_names": ["new.example.test"],
            "private_key_type": "RSA2048",
        }
        request = await fleet.api.call("POST", "requests", wanted)
        openssl("req", "-verify", "-noout", cwd=tmp_path, stdin=request["csr"])
        answer = await fleet.api.call(
            "POST",
            f"requests/{request['id']}/answer",
            {"certificate": sign_request(request["csr"], INTERMEDIATE, cwd=tmp_path), "take_over": True},
        )
        assert answer["nodes"] == [{"node": "web", "slot": "server"}]
        await fleet.until_served(answer["fingerprint"], "web")
        for name in ("conf.example.test", "new.example.test"):
            assert await openssl_sees(web, ROOT, name=name) == (
                ["CN = conf.example.test", "CN = System Issuing"],
                "0 (ok)",
            )


WILLING = dataclasses.replace(
    NGINX,
    files={
        "nginx.conf": NGINX.files["nginx.conf"].replace(
            "location /",
            "ssl_verify_client optional; ssl_client_certificate {data}/current/trust/custom-ca.pem;\n        location /",
        )
    },
    uses='["server", "trust"]',
)


@pytest.mark.services("nginx")
async def test_trusted_cas_with_which_every_handshake_fails_are_rolled_back_and_certificates_still_get_through():
    key = pki.make_key()
    many = [
        pki.make_root(f"Certification authority of the department number {number:04}", key=key)
        for number in range(1000)
    ]
    async with real_fleet() as fleet:
        await fleet.trust(CLIENTS)
        web = await fleet.site.add_node("web", WILLING)
        first = await fleet.upload(
            pki.current_leaf(INTERMEDIATE, ["web.example.test"]), INTERMEDIATE.certificate_pem, ["web"]
        )
        await fleet.until_served(first, "web")

        await fleet.api.call("POST", "trusted-cas", {"certificates": pki.chain_pem(*many)})
        await fleet.until(
            lambda nodes: (
                nodes["web"]["state"] == "failed"
                and nodes["web"]["last_failed"]["reason"] == "verify_unreachable"
            )
        )
        assert trusts(web, CLIENTS)
        assert not trusts(web, many[0])
        assert (await fleet.node("web"))["slots"]["server"]["serving"] == first

        second = await fleet.upload(
            pki.current_leaf(INTERMEDIATE, ["web.example.test"]), INTERMEDIATE.certificate_pem, ["web"]
        )
        await fleet.until(lambda nodes: nodes["web"]["slots"]["server"]["serving"] == second)
        assert trusts(web, CLIENTS)
        assert not trusts(web, many[0])
