"""A CA that is down, busy, garbled, or says what it must not: what comes of it is an error in words, and no more."""

import time
from email.utils import formatdate

import pytest

from demo.site import free_port
from manager.acme.answers import ORDERS_MAX
from manager.acme.orders import ORDERS_LOOKED_AT
from manager.acme.session import NONCE_TRIES
from manager.domain.renewal.records import ChallengeKind
from tests import pki
from tests.fakes.hostile_ca import (
    ACCOUNT,
    DIRECTORY,
    NONCE,
    ORDER,
    THING,
    Reply,
    json_reply,
    problem,
)
from tests.integration.acme.parts import NAMES, account, asking, key_pem, made, order, pending, refused
from tests.patience import PATIENCE_S


async def test_a_limit_is_told_with_the_time_that_the_ca_asks_to_wait(hostile, at_hostile):
    in_an_hour = formatdate(time.time() + 3600, usegmt=True)
    hostile.replies[ORDER] = [
        problem("rateLimited", "too many certificates", status=429, Retry_After="1800"),
        problem("rateLimited", "too many certificates", status=429, Retry_After=in_an_hour),
        problem("rateLimited", "too many certificates", status=429),
    ]
    first, second, third = [await refused(order(at_hostile)) for _ in range(3)]
    assert first.message == "127.0.0.1 limits how often it is asked: too many certificates"
    assert (first.type, first.detail, first.is_final) == ("rateLimited", "too many certificates", False)
    assert first.retry_after_s == 1800
    assert second.retry_after_s == pytest.approx(3600, abs=PATIENCE_S)
    assert third.retry_after_s is None


@pytest.mark.parametrize("status", [500, 502, 503])
async def test_a_ca_that_is_down_is_asked_again_when_it_says(hostile, at_hostile, status):
    hostile.replies[DIRECTORY] = [
        Reply(status=status, headers={"Retry-After": "120"}, body=b"<html>down</html>")
    ]
    error = await refused(at_hostile.directory())
    assert error.message == f"127.0.0.1 answered with status {status}"
    assert (error.type, error.retry_after_s, error.is_final) == ("", 120, False)


async def test_a_ca_that_nobody_listens_at_is_said_to_be_so(threads):
    error = await refused(asking(account(f"https://127.0.0.1:{free_port()}/dir"), threads).directory())
    assert error.message == "127.0.0.1 cannot be asked: Connection refused"
    assert not error.is_final


async def test_a_name_without_an_address_is_said_to_be_so(threads):
    error = await refused(asking(account("https://ca.invalid/dir"), threads).directory())
    assert error.message.startswith("ca.invalid cannot be asked: ")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{",
        b'{"newNonce": 5}',
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"newNonce":"https://a b"}',
        b"9" * 5000,
    ],
)
async def test_a_garbled_answer_is_an_error_that_passes(hostile, at_hostile, body):
    hostile.replies[DIRECTORY] = [Reply(body=body)]
    assert (await refused(at_hostile.directory())).retry_after_s is None


@pytest.mark.parametrize(
    "more",
    [
        {"status": "golden"},
        {"status": None},
        {"authorizations": "x"},
        {"authorizations": ["https://a.example/1"] * 101},
        {"authorizations": [5]},
        {"finalize": "https://" + "a" * 3000},
    ],
)
async def test_an_order_that_is_none_is_not_believed(hostile, at_hostile, more):
    hostile.replies[ORDER] = [made(hostile, **more)]
    await refused(order(at_hostile))


async def test_a_nonce_that_is_never_right_is_signed_anew_so_often_and_no_more(hostile, at_hostile):
    hostile.replies[ORDER] = [problem("badNonce", "stale")]
    assert (await refused(order(at_hostile))).type == "badNonce"
    assert hostile.paths() == [ORDER] * NONCE_TRIES
    hostile.asked.clear()
    hostile.replies[ORDER] = [*[problem("badNonce", "stale")] * (NONCE_TRIES - 1), made(hostile)]
    assert (await order(at_hostile)).status == "pending"
    assert len({each.protected()["nonce"] for each in hostile.asked if each.method == "POST"}) == NONCE_TRIES


@pytest.mark.parametrize("nonce", ["", "not base64!"])
async def test_an_answer_without_a_nonce_is_no_answer(hostile, at_hostile, nonce):
    hostile.replies[NONCE] = [Reply(headers={"Replay-Nonce": nonce})]
    assert "cannot be read" in (await refused(order(at_hostile))).message


async def test_an_account_is_asked_for_once_with_the_key_and_then_by_its_address(hostile, threads):
    hostile.replies[ORDER] = [made(hostile)]
    ca = asking(account(hostile.directory_url, trust_pem=hostile.trust_pem), threads)
    await order(ca)
    await order(ca)
    assert hostile.paths() == [ACCOUNT, ORDER, ORDER]
    first, second, _ = [each.protected() for each in hostile.asked if each.method == "POST"]
    assert "jwk" in first
    assert "kid" not in first
    assert second["kid"] == hostile.url("/accounts/1")
    assert "jwk" not in second


async def test_an_order_says_what_it_replaces_to_who_knows_of_it_only(hostile, at_hostile):
    hostile.replies[ORDER] = [made(hostile)]
    await order(at_hostile, replaces="aa.bb", profile="classic")
    assert hostile.asked[-1].payload() == {
        "identifiers": [{"type": "dns", "value": "a.example.com"}],
        "profile": "classic",
        "replaces": "aa.bb",
    }
    hostile.replies[DIRECTORY] = [json_reply(hostile.directory(renewalInfo=None))]
    await at_hostile.directory()
    await order(at_hostile, replaces="aa.bb")
    assert "replaces" not in hostile.asked[-1].payload()
    assert await at_hostile.suggested("aa.bb") is None


async def test_an_order_that_may_not_replace_is_asked_for_again_without(hostile, at_hostile):
    hostile.replies[ORDER] = [problem("alreadyReplaced", "it has one", status=409), made(hostile)]
    assert (await order(at_hostile, replaces="aa.bb")).status == "pending"
    assert [("replaces" in each.payload()) for each in hostile.asked if each.path == ORDER] == [True, False]
    hostile.replies[ORDER] = [problem("rateLimited", "slowly", status=429)]
    hostile.asked.clear()
    await refused(order(at_hostile, replaces="aa.bb"))
    assert hostile.paths() == [ORDER]


async def test_a_ca_without_profiles_is_not_asked_for_one(hostile, at_hostile):
    hostile.replies[DIRECTORY] = [json_reply(hostile.directory(meta={}))]
    error = await refused(order(at_hostile, profile="shortlived"))
    assert (error.type, error.is_final) == ("invalidProfile", True)
    assert hostile.paths() == []


async def test_a_ca_that_lists_no_orders_has_none_to_find(hostile, at_hostile):
    hostile.replies["/accounts/1"] = [json_reply({"status": "valid"})]
    assert await at_hostile.find_order(NAMES, profile="") is None


async def test_a_list_of_orders_that_leads_round_ends(hostile, at_hostile):
    hostile.replies["/accounts/1"] = [json_reply({"orders": hostile.url("/orders")})]
    page = json_reply({"orders": [hostile.url("/gone")]}, Link=f'<{hostile.url("/orders")}>;rel="next"')
    hostile.replies["/orders"] = [page]
    assert await at_hostile.find_order(NAMES, profile="") is None
    assert hostile.paths().count("/orders") == 20


async def test_a_ca_that_changes_no_keys_says_so(hostile, at_hostile):
    hostile.replies[DIRECTORY] = [json_reply(hostile.directory(keyChange=""))]
    assert (await refused(at_hostile.change_key(key_pem()))).is_final


@pytest.mark.parametrize("token", ["../../../../etc/passwd/././././", "a", 5, None, "x" * 300, "a b" * 20])
async def test_a_token_that_could_be_another_files_name_proves_nothing(hostile, at_hostile, token):
    hostile.replies[THING] = [pending(hostile, token)]
    assert (await at_hostile.authorization(hostile.url(THING), ChallengeKind.HTTP)).proof is None


@pytest.mark.parametrize(
    "body", [b"", b"hello", b"-----BEGIN PRIVATE KEY-----\n", "-----BEGIN CERTIFICATE-----\n\xe4".encode()]
)
async def test_what_is_no_certificate_is_not_taken_for_one(hostile, at_hostile, body):
    hostile.replies[THING] = [Reply(body=body)]
    assert "something other" in (await refused(at_hostile.download(hostile.url(THING)))).message


async def test_so_many_other_chains_are_asked_for_and_no_more(hostile, at_hostile):
    chain = Reply(body=pki.make_leaf(None).certificate_pem.encode())
    others = ", ".join(f'<{hostile.url(f"/other/{number}")}>;rel="alternate"' for number in range(40))
    hostile.replies[THING] = [Reply(headers={"Link": others}, body=chain.body)]
    for number in range(40):
        hostile.replies[f"/other/{number}"] = [Reply(body=pki.make_leaf(None).certificate_pem.encode())]
    assert len(await at_hostile.download(hostile.url(THING))) == 11


async def test_a_key_that_the_ca_has_for_another_account_is_refused(hostile, at_hostile):
    hostile.replies["/key-change"] = [Reply(status=409, headers={"Location": hostile.url("/accounts/2")})]
    hostile.replies[ACCOUNT] = [json_reply({}, Location=hostile.url("/accounts/2"))]
    assert "status 409" in (await refused(at_hostile.change_key(key_pem()))).message
    hostile.replies[ACCOUNT] = [json_reply({}, Location=hostile.url("/accounts/1"))]
    await at_hostile.change_key(key_pem())
    hostile.replies["/key-change"] = [problem("malformed", "no such thing")]
    hostile.replies[ACCOUNT] = [problem("accountDoesNotExist", "none")]
    assert (await refused(at_hostile.change_key(key_pem()))).type == "malformed"


async def test_an_account_is_not_made_where_it_could_not_be_looked_for(hostile, at_hostile):
    hostile.replies[ACCOUNT] = [problem("rateLimited", "slowly", status=429)]
    assert (await refused(at_hostile.register(binding_key=""))).type == "rateLimited"
    assert hostile.paths() == [ACCOUNT]


async def test_a_proof_that_the_ca_does_not_want_to_look_at_is_refused(hostile, at_hostile):
    challenge = {"type": "http-01", "url": hostile.url("/c"), "token": "t" * 43, "status": "pending"}
    fields = {"identifier": {"type": "dns", "value": "a.example.com"}, "challenges": [challenge]}
    hostile.replies[THING] = [json_reply({"status": "pending", **fields})]
    hostile.replies["/c"] = [problem("serverInternal", "no", status=500)]
    proof = (await at_hostile.authorization(hostile.url(THING), ChallengeKind.HTTP)).proof
    assert proof is not None
    assert (await refused(at_hostile.answer(proof))).type == "serverInternal"


async def test_a_request_that_cannot_be_read_is_not_handed_in(hostile, at_hostile):
    assert (await refused(at_hostile.finalize(hostile.url("/finalize"), "nothing"))).is_final
    assert not hostile.asked


async def test_what_could_not_be_asked_is_no_answer(hostile, at_hostile):
    hostile.replies["/renewal-info/aa.bb"] = [Reply(status=503)]
    assert not (await refused(at_hostile.suggested("aa.bb"))).is_final
    hostile.replies["/accounts/1"] = [json_reply({"orders": hostile.url("/orders")})]
    hostile.replies["/orders"] = [json_reply({"orders": [hostile.url("/orders/1")]})]
    hostile.replies["/orders/1"] = [Reply(status=503)]
    await refused(at_hostile.find_order(NAMES, profile=""))


async def test_so_many_orders_are_looked_at_and_no_more(hostile, at_hostile):
    hostile.replies["/accounts/1"] = [json_reply({"orders": hostile.url("/orders")})]
    hostile.replies["/orders"] = [
        json_reply({"orders": [hostile.url(f"/orders/{number}") for number in range(60)]})
    ]
    assert await at_hostile.find_order(NAMES, profile="") is None
    assert hostile.paths()[2:] == [f"/orders/{number}" for number in range(59, 59 - ORDERS_LOOKED_AT, -1)]
    hostile.replies["/orders"] = [json_reply({"orders": [hostile.url("/x")] * (ORDERS_MAX + 1)})]
    assert (
        await refused(at_hostile.find_order(NAMES, profile=""))
    ).message == f"127.0.0.1 sent more than {ORDERS_MAX} orders"


CHANGED = {
    "type": "urn:ietf:params:acme:error:userActionRequired",
    "detail": "the terms have changed",
    "instance": "https://ca.example/agree?account=1",
}


@pytest.mark.parametrize("act", ["order", "register"])
async def test_terms_that_have_changed_are_agreed_to_where_the_ca_says_by_who_has_an_account(
    hostile, at_hostile, act
):
    link = '<https://ca.example/terms/2>;rel="terms-of-service"'
    hostile.replies[ORDER] = hostile.replies[ACCOUNT] = [json_reply(CHANGED, status=403, Link=link)]
    error = await refused(order(at_hostile) if act == "order" else at_hostile.register(binding_key=""))
    assert (error.type, error.detail, error.is_final) == (
        "userActionRequired",
        "the terms have changed",
        True,
    )
    assert error.message == (
        "the CA requires an action from you before it serves this account again (userActionRequired): the terms have changed; agree to its terms of service"
        " (https://ca.example/terms/2) at https://ca.example/agree?account=1, then resume the renewal"
    )
    # no request agrees for an account that there is (RFC 8555 7.1.2)
    assert not any(
        "termsOfServiceAgreed" in each.payload() for each in hostile.asked if each.method == "POST"
    )


async def test_a_ca_that_does_not_say_where_is_told_with_the_terms_of_its_directory(hostile, at_hostile):
    meta = {"termsOfService": "https://ca.example/terms/1"}
    hostile.replies[DIRECTORY] = [json_reply(hostile.directory(meta=meta))]
    hostile.replies[ORDER] = [problem("userActionRequired", "agree first", status=403)]
    assert (await refused(order(at_hostile))).message.endswith(
        "agree to its terms of service (https://ca.example/terms/1) where the CA has its accounts, then resume the renewal"
    )


async def test_a_proxy_that_lets_nobody_in_has_ended_no_account(hostile, at_hostile):
    nobody = problem("unauthorized", "sign in first", status=401)
    hostile.replies["/accounts/1"] = hostile.replies[ACCOUNT] = [nobody]
    assert (await refused(at_hostile.deactivate())).type == "unauthorized"


async def test_an_account_that_alone_is_not_let_in_has_ended(hostile, at_hostile):
    ended = problem("unauthorized", "the account is deactivated", status=401)
    hostile.replies["/accounts/1"] = [ended]
    hostile.replies[ACCOUNT] = [ended, problem("accountDoesNotExist", "no such account")]
    await at_hostile.deactivate()
