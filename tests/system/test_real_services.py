"""The main job on real daemons and real services."""

import time

import pytest

from tests import pki
from tests.system.fleet import openssl_gets, openssl_sees, real_fleet, reloads
from tests.system.kamailio import KAMAILIO

ROOT, INTERMEDIATE = pki.current_ca("System")


@pytest.mark.services("nginx", "kamailio", "kamcmd", "openssl")
async def test_nginx_and_kamailio_serve_the_pushed_leaf_with_its_full_chain_and_others_their_own():
    async with real_fleet() as fleet:
        web, sip, other = (
            await fleet.site.add_node("web"),
            await fleet.site.add_node("sip", KAMAILIO),
            await fleet.site.add_node("other"),
        )
        await fleet.until(lambda nodes: all(node["state"] == "in_sync" for node in nodes.values()))
        one = await fleet.upload(
            pki.current_leaf(INTERMEDIATE, ["conf.example.test"]),
            INTERMEDIATE.certificate_pem,
            ["web", "sip"],
        )
        await fleet.until_served(one, "web", "sip")
        before = reloads(web)
        two = await fleet.upload(
            pki.current_leaf(INTERMEDIATE, ["other.example.test"]), INTERMEDIATE.certificate_pem, ["other"]
        )
        await fleet.until_served(two, "other")
        for node, name in ((web, "conf"), (sip, "conf"), (other, "other")):
            subjects, verdict = await openssl_sees(node, ROOT, name=f"{name}.example.test")
            assert subjects == [f"CN = {name}.example.test", "CN = System Issuing"]
            assert verdict == "0 (ok)"
        assert reloads(web) == before


@pytest.mark.services("nginx", "kamailio", "kamcmd", "openssl")
async def test_an_intermediate_uploaded_as_a_trusted_ca_completes_the_chain_that_nodes_serve():
    elsewhere, _ = pki.current_ca("Elsewhere")
    async with real_fleet() as fleet:
        web, sip, other = (
            await fleet.site.add_node("web"),
            await fleet.site.add_node("sip", KAMAILIO),
            await fleet.site.add_node("other"),
        )
        leaf = await fleet.upload(pki.current_leaf(INTERMEDIATE, ["conf.example.test"]), "", ["web", "sip"])
        own = await fleet.upload(pki.current_leaf(elsewhere, ["other.example.test"]), "", ["other"])
        await fleet.until_served(leaf, "web", "sip")
        await fleet.until_served(own, "other")
        for node in (web, sip):
            subjects, verdict = await openssl_sees(node, ROOT, name="conf.example.test")
            assert subjects == ["CN = conf.example.test"]
            assert verdict != "0 (ok)"
        before = reloads(web), reloads(sip), reloads(other)

        number = await fleet.trust(INTERMEDIATE)
        await fleet.until_trusting(INTERMEDIATE, web, sip, other)
        for node in (web, sip):
            subjects, verdict = await openssl_sees(node, ROOT, name="conf.example.test")
            assert (subjects[1:], verdict) == (["CN = System Issuing"], "0 (ok)")
        assert (reloads(web), reloads(sip), reloads(other)) == (before[0] + 1, before[1] + 1, before[2])

        now_s = int(time.time())
        life = {"not_before_s": now_s - 60, "not_after_s": now_s + 900 * pki.DAY_S}
        renewed = pki.make_intermediate(ROOT, "System Issuing", key=INTERMEDIATE.key, **life)
        body = {"certificate": renewed.certificate_pem}
        await fleet.api.call("PATCH", f"trusted-cas/{number}", body)
        await fleet.until_trusting(renewed, web, sip, other)
        for node in (web, sip):
            assert (await openssl_gets(node, name="conf.example.test"))[1:] == [renewed.certificate_pem]
            assert (await openssl_sees(node, ROOT, name="conf.example.test"))[1] == "0 (ok)"
        assert (reloads(web), reloads(sip), reloads(other)) == (before[0] + 2, before[1] + 2, before[2])


@pytest.mark.services("openssl")
async def test_the_managers_own_endpoint_changes_its_certificate_without_dropping_a_connection():
    async with real_fleet() as fleet:
        async with fleet.session.get(f"{fleet.site.url}/health/live") as answer:
            assert answer.headers["Strict-Transport-Security"].startswith("max-age=")
            held = answer.connection.transport if answer.connection else None
        (shipped,) = (await fleet.api.call("GET", "certificates"))["certificates"]
        assert (shipped["status"], shipped["key_type"], shipped["key_bits"]) == ("Temporary", "RSA", 4096)
        assert shipped["nodes"] == [{"node": "management", "slot": "server"}]
        await fleet.until_served(shipped["fingerprint"], "management")
        leaf = await fleet.upload(
            pki.current_leaf(INTERMEDIATE, ["manager.example.test"]),
            INTERMEDIATE.certificate_pem,
            ["management"],
        )
        await fleet.until_served(leaf, "management")
        connections = fleet.session.connector._conns
        assert any(connections.values()), "the pooled connection of before the change is still open"
        async with fleet.session.get(f"{fleet.site.url}/health/ready") as answer:
            assert answer.status == 200
        assert held is None or not held.is_closing()


@pytest.mark.services("nginx")
async def test_a_reload_that_fails_is_rolled_back_reported_and_healed():
    async with real_fleet() as fleet:
        web = await fleet.site.add_node("web")
        first = await fleet.upload(
            pki.current_leaf(INTERMEDIATE, ["conf.example.test"]), INTERMEDIATE.certificate_pem, ["web"]
        )
        await fleet.until_served(first, "web")
        (web.directory / "broken").touch()
        second = await fleet.upload(
            pki.current_leaf(INTERMEDIATE, ["conf.example.test"]), INTERMEDIATE.certificate_pem, ["web"]
        )
        await fleet.until(lambda nodes: nodes["web"]["state"] == "failed")
        node = await fleet.node("web")
        assert node["last_failed"]["reason"] == "reload_failed"
        assert "the operator broke this service's configuration" in node["diagnostics"]
        assert "server/privkey.pem" in await fleet.site.run("certcast", "node", "show", "web")
        slot = node["slots"]["server"]
        assert (slot["desired"], slot["applied"], slot["serving"]) == (second, first, first)
        (web.directory / "broken").unlink()
        await fleet.site.run("certcast", "push", "web", "--force", "--wait")
        await fleet.until_served(second, "web")
        mended = await fleet.node("web")
        assert (mended["last_failed"], mended["diagnostics"]) == (None, "")
