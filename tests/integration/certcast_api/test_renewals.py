"""Renewals over HTTP: set up, changed and carried out, with what the CA says of them."""

import time

import pytest
from cryptography import x509

from common.api.codes import Role
from manager.usecases.renewal.ports import CaError
from tests import pki
from tests.integration.certcast_api.conftest import ISSUER
from tests.integration.certcast_api.renewing import RenewingApi

NAME = "meet.example.test"


async def certificate(world: RenewingApi, *nodes: str) -> int:
    """Upload a certificate that is far from its end."""
    made = pki.current_leaf(ISSUER, [NAME])
    body = {
        "certificate": made.certificate_pem + ISSUER.certificate_pem,
        "private_key": made.key_pem,
        "nodes": nodes,
    }
    return int((await world.api.call("POST", "certificates", body))[1]["id"])


async def test_a_certificate_for_new_names_is_ordered_at_once_and_shown_step_by_step(world: RenewingApi):
    account = await world.account()
    status, made = await world.api.call("POST", "renewals", {"account": account, "names": [NAME]})
    assert (status, made["certificate"], made["ordered_names"]) == (201, None, [NAME])
    await world.carry_on()
    status, shown = await world.api.call("GET", f"renewals/{made['id']}", role=Role.READ_ONLY)
    assert (shown["state"], shown["ordered_names"]) == ("waiting", [NAME])
    (order,) = shown["orders"]
    assert (order["state"], order["certificate"], order["problem"]) == ("served", shown["certificate"], None)
    assert [each["state"] for each in order["steps"]] == [
        "created",
        "ordered",
        "placed",
        "validated",
        "finalised",
        "downloaded",
        "taken_over",
        "served",
    ]
    assert shown["next_at_s"] > time.time()
    status, listed = await world.api.call("GET", "renewals")
    assert [each["id"] for each in listed["renewals"]] == [made["id"]]


async def test_a_renewal_is_set_up_changed_paused_resumed_and_removed(world: RenewingApi):
    account, number = await world.account(), await certificate(world)
    status, made = await world.api.call("POST", "renewals", {"certificate": number, "account": account})
    assert (status, made["certificate"], made["names"], made["ordered_names"]) == (201, number, [], [NAME])
    assert (made["challenge"], made["key"], made["state"]) == ("http-01", "ECDSAP256", "waiting")
    path = f"renewals/{made['id']}"
    body = {"account": account, "profile": "short", "key": "RSA4096", "names": [NAME, "b.example.test"]}
    status, changed = await world.api.call("PUT", path, body)
    assert (status, {key: changed[key] for key in body}) == (200, body)
    status, paused = await world.api.call("POST", f"{path}/pause")
    assert (paused["state"], paused["next_at_s"]) == ("paused", None)
    status, resumed = await world.api.call("POST", f"{path}/resume")
    assert (resumed["state"], resumed["next_at_s"] > time.time()) == ("waiting", True)
    assert (await world.api.call("DELETE", path))[0] == 204
    assert (await world.api.call("GET", path))[0] == 404
    acts = {each["action"] for each in (await world.api.call("GET", "audit"))[1]["entries"]}
    assert {f"renewal.{act}" for act in ("added", "changed", "paused", "resumed", "removed")} <= acts


@pytest.mark.parametrize("by_request", [True, False])
async def test_a_renewal_of_a_certificate_without_a_common_name_is_called_by_its_names(
    world: RenewingApi, by_request: bool
):
    names = [NAME, "talk.example.test"]
    now_s = int(time.time())
    leaf = pki.make_leaf(
        ISSUER, names, subject=x509.Name([]), not_before_s=now_s - 3600, not_after_s=now_s + 90 * 86400
    )
    body = {"certificate": leaf.certificate_pem + ISSUER.certificate_pem, "private_key": leaf.key_pem}
    number = (await world.api.call("POST", "certificates", body))[1]["id"]
    means = {"send_to": "pki@example.test"} if by_request else {"account": await world.account()}
    _, made = await world.api.call("POST", "renewals", {"certificate": number, **means})
    assert (made["subject_name"], made["ordered_names"]) == (NAME, names)


async def test_a_renewal_whose_account_was_deactivated_is_stopped_until_it_has_another(world: RenewingApi):
    account, number = await world.account(), await certificate(world)
    _, made = await world.api.call("POST", "renewals", {"certificate": number, "account": account})
    path = f"renewals/{made['id']}"
    assert (await world.api.call("POST", f"accounts/{account}/deactivate"))[0] == 200
    _, stopped = await world.api.call("GET", path)
    assert (stopped["state"], stopped["next_at_s"]) == ("stopped", None)
    other = await world.account(name="other")
    _, changed = await world.api.call("PUT", path, {"account": other})
    assert (changed["state"], changed["next_at_s"] > time.time()) == ("waiting", True)


async def test_an_order_that_takes_a_slot_asks_who_wants_to_be_asked(world: RenewingApi):
    await world.api.add_node("n1")
    account, number = await world.account(), await certificate(world, "n1")
    body = {"account": account, "names": [NAME], "nodes": ["n1"], "confirm": ""}
    status, refused = await world.api.call("POST", "renewals", body)
    assert (status, refused["error"]["reason"]) == (409, "confirmation_needed")
    confirmation = refused["error"]["confirmation"]
    (told,) = confirmation["consequences"]
    assert (told["code"], told["nodes"], f"certificate {number} (" in told["message"]) == (
        "slot_taken",
        ["n1"],
        True,
    )
    status, made = await world.api.call("POST", "renewals", body | {"confirm": confirmation["token"]})
    assert (status, made["nodes"]) == (201, ["n1"])


async def test_an_account_that_no_ca_knows_yet_is_said_to_be_so_until_its_first_order(world: RenewingApi):
    account, number = await world.account(), await certificate(world)
    made = (await world.api.call("POST", "renewals", {"certificate": number, "account": account}))[1]
    assert made["account_registered"] is False
    await world.api.call("POST", f"renewals/{made['id']}/order")
    await world.carry_on()
    (shown,) = (await world.api.call("GET", "renewals"))[1]["renewals"]
    assert shown["account_registered"] is True
    by_request = (await world.api.call("PUT", f"renewals/{made['id']}", {"send_to": "pki@example.test"}))[1]
    assert by_request["account_registered"] is None


async def test_an_operator_renews_now_and_once_at_a_time(world: RenewingApi):
    account, number = await world.account(), await certificate(world)
    made = (await world.api.call("POST", "renewals", {"certificate": number, "account": account}))[1]
    path = f"renewals/{made['id']}/order"
    status, order = await world.api.call("POST", path, role=Role.OPERATOR)
    assert (status, order["state"], order["test"]) == (201, "created", False)
    assert (await world.api.call("POST", path, role=Role.OPERATOR))[0] == 409
    assert (await world.api.call("GET", f"renewals/{made['id']}"))[1]["state"] == "ordering"
    await world.carry_on()
    status, shown = await world.api.call("GET", f"renewals/{made['id']}")
    assert (shown["orders"][0]["state"], shown["certificate"] != number) == ("served", True)


async def test_a_test_order_keeps_nothing_but_its_steps(world: RenewingApi):
    account, number = await world.account(), await certificate(world)
    body = {"certificate": number, "account": account, "paused": True}
    made = (await world.api.call("POST", "renewals", body))[1]
    status, order = await world.api.call("POST", f"renewals/{made['id']}/test")
    assert (status, order["test"]) == (201, True)
    await world.carry_on()
    status, shown = await world.api.call("GET", f"renewals/{made['id']}")
    assert (shown["orders"][0]["state"], shown["certificate"], shown["state"]) == ("tested", number, "paused")


async def test_the_words_of_a_ca_that_refuses_are_shown_with_its_code(world: RenewingApi):
    account = await world.account()
    words = "CAA record for meet.example.test prevents issuance"
    world.ca.refuses[NAME] = CaError(f"ca.example.test refused (caa): {words}", type="caa", detail=words)
    made = (await world.api.call("POST", "renewals", {"account": account, "names": [NAME]}))[1]
    await world.carry_on()
    shown = (await world.api.call("GET", f"renewals/{made['id']}"))[1]
    assert (shown["state"], shown["failures"]) == ("failing", 1)
    assert (shown["problem"]["type"], shown["problem"]["detail"]) == ("caa", words)
    assert words in shown["orders"][0]["steps"][-1]["message"]
    assert shown["next_at_s"] == shown["retry_at_s"] > time.time()


async def test_a_change_on_top_of_one_that_was_not_seen_is_refused_and_keeps_that(world: RenewingApi):
    account, number = await world.account(), await certificate(world)
    made = (await world.api.call("POST", "renewals", {"certificate": number, "account": account}))[1]
    path, terms = f"renewals/{made['id']}", {"account": account, "seen": made["tag"]}
    status, theirs = await world.api.call("PUT", path, terms | {"profile": "short"})
    assert status == 200
    status, refused = await world.api.call("PUT", path, terms | {"challenge": "dns-01"})
    assert (status, refused["error"]["reason"]) == (409, "conflict")
    shown = (await world.api.call("GET", path))[1]
    assert (shown["profile"], shown["challenge"]) == ("short", "http-01")
    again = terms | {"challenge": "dns-01", "profile": "short", "seen": theirs["tag"]}
    assert (await world.api.call("PUT", path, again))[0] == 200


async def test_what_is_renewed_by_request_says_to_whom_that_goes(world: RenewingApi):
    number = await certificate(world)
    body = {"certificate": number, "send_to": "pki@example.test"}
    status, made = await world.api.call("POST", "renewals", body)
    assert (status, made["account"], made["key"], made["send_to"]) == (201, None, None, "pki@example.test")
    assert (await world.api.call("POST", f"renewals/{made['id']}/order"))[0] == 409


async def test_what_a_certificate_would_be_renewed_with_has_names_of_its_nodes(world: RenewingApi):
    await world.api.add_node("n1")
    number = await certificate(world, "n1")
    status, found = await world.api.call("GET", f"certificates/{number}/renewal-fields", role=Role.READ_ONLY)
    assert (status, found["names"][0], found["key"]) == (200, NAME, "ECDSAP256")
    assert "n1.example.test" in found["names"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"names": [NAME]}, "account"),
        ({"certificate": 1, "profile": "short"}, "account"),
        ({"certificate": 1, "account": 1, "send_to": "pki@example.test"}, "send_to"),
        ({"certificate": 1, "account": 1, "nodes": ["n1"]}, "nodes"),
        ({"account": 1}, "names"),
        ({"account": 1, "names": [NAME], "challenge": "dns-persist-01"}, "challenge"),
        ({"account": 1, "names": ["no name"]}, "names"),
        ({"account": 1, "names": ["*.example.test"]}, "names"),
        ({"account": 1, "names": [NAME], "keeps_key": True}, "keeps_key"),
        ({"account": 1, "names": [NAME], "challenge": "tls-alpn-01"}, "challenge"),
        ({"account": 1, "names": [NAME], "key": "RSA1024"}, "key"),
        ({"account": 1, "names": [NAME], "profile": "x" * 256}, "profile"),
        ({"account": 1, "names": [NAME], "terms": {}}, "terms"),
    ],
)
async def test_what_cannot_be_renewed_so_is_refused_by_field(world: RenewingApi, body, field):
    await world.account()
    assert await certificate(world) == 1
    status, refused = await world.api.call("POST", "renewals", body)
    assert (status, refused["error"]["field"]) == (400, field)
    assert (await world.api.call("GET", "renewals"))[1] == {"renewals": []}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"certificate": 99, "account": 1}, 404),
        ({"certificate": 1, "account": 99}, 404),
        ({"account": 1, "names": [NAME], "nodes": ["nobody"]}, 404),
    ],
)
async def test_what_is_not_there_is_not_renewed(world: RenewingApi, body, status):
    await world.account()
    await certificate(world)
    assert (await world.api.call("POST", "renewals", body))[0] == status


async def test_a_certificate_has_one_renewal(world: RenewingApi):
    account, number = await world.account(), await certificate(world)
    body = {"certificate": number, "account": account}
    assert [(await world.api.call("POST", "renewals", body))[0] for _ in range(2)] == [201, 409]
