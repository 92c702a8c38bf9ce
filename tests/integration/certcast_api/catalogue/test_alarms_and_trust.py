"""Alarms and trusted CAs over HTTP."""

from common.api.codes import Role
from tests import pki
from tests.integration.api import ApiClient
from tests.integration.certcast_api.catalogue.conftest import ISSUER, ROOT, add_node, trust, upload


async def test_an_alarm_is_raised_acknowledged_and_lowered_into_history(api: ApiClient):
    await add_node(api)
    await upload(api, pki.current_leaf(ISSUER, ["one.example.test"], days=10), nodes=["n1"])
    await api.use_cases.alarms.evaluator.evaluate(api.fleet)
    alarms = (await api.call("GET", "alarms"))[1]["alarms"]
    assert {each["kind"] for each in alarms} == {"chain_incomplete", "certificate_expiring"}
    chain = next(each for each in alarms if each["kind"] == "chain_incomplete")
    assert "CN=Catalogue Root not found" in chain["details"]
    assert (chain["node"], chain["nodes"]) == ("", ["n1"])
    ids = {"ids": [chain["id"]]}
    assert (await api.call("POST", "alarms/acknowledge", ids, role=Role.READ_ONLY))[0] == 403
    assert (await api.call("POST", "alarms/acknowledge", ids, role=Role.OPERATOR))[0] == 204
    await trust(api, ROOT)
    await api.use_cases.alarms.evaluator.evaluate(api.fleet)
    assert [each["kind"] for each in (await api.call("GET", "alarms"))[1]["alarms"]] == [
        "certificate_expiring"
    ]
    (past,) = (await api.call("GET", "alarms/history"))[1]["alarms"]
    assert (past["id"], past["acknowledged_by"], past["lowered_at_s"] >= past["raised_at_s"]) == (
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
