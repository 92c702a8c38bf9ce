"""Accounts at CAs, renewals and orders, on either engine."""

from dataclasses import replace

import pytest
from sqlalchemy import select

from common.errors import ConflictError, NotFoundError, StorageError
from common.ids import CertificateId, Fingerprint, NodeName
from manager.domain.renewal.account_fields import AccountFields
from manager.domain.renewal.moments import Window
from manager.domain.renewal.records import (
    AccountId,
    ChallengeKind,
    LeftProof,
    OrderId,
    OrderRecord,
    OrderState,
    Problem,
    Proof,
    RenewalId,
    RenewalRecord,
    Step,
    Terms,
)
from manager.store.sealing import Keyring
from manager.store.store import Store
from manager.store.tables.renewal import acme_account, acme_order
from manager.store.tables.renewal import renewal as renewal_table
from tests.unit.store.given import KEY_PEM, NOW_S, add_nodes, new_certificate

SECRET = "c2VjcmV0LWJpbmRpbmcta2V5"
PROBLEM = Problem(at_s=1.5, message="it failed", type="unauthorized", detail="no proof")


async def add_account(store: Store, name: str = "le") -> AccountId:
    new = AccountFields(
        name=name,
        directory_url="https://ca/directory",
        staging_url="",
        trusted_cas="",
        contact=("mailto:ops@example.com",),
        binding_id="kid",
        terms_agreed=True,
        binding_key=SECRET,
    )
    return (await store.accounts.add(new, key_pem=KEY_PEM, now_s=NOW_S)).id


async def add_renewal(store: Store, **changes) -> RenewalRecord:
    account = await add_account(store, f"account {len(await store.accounts.list())}")
    record, _ = await store.certificates.add(new_certificate(f"{account:02}"), now_s=NOW_S)
    new = RenewalRecord(
        id=RenewalId(0),
        certificate_id=record.id,
        terms=Terms(account_id=account, challenge=ChallengeKind.DNS, names=("a.example.com",), profile="p"),
        created_s=NOW_S,
        changed_s=NOW_S,
    )
    return await store.renewals.add(replace(new, **changes))


def new_order(renewal: RenewalRecord, **changes) -> OrderRecord:
    assert renewal.terms is not None
    made = OrderRecord(
        id=OrderId(0),
        renewal_id=renewal.id,
        is_test=False,
        state=OrderState.CREATED,
        names=("a.example.com",),
        terms=renewal.terms,
        replaces="AA.AQ",
        replaces_leaf=Fingerprint("f" * 64),
        request_pem="request",
        steps=(Step(at_s=NOW_S, state=OrderState.CREATED, message="it began"),),
        created_s=NOW_S,
        changed_s=NOW_S,
    )
    return replace(made, **changes)


async def test_an_account_is_read_as_it_was_kept_and_its_secrets_open(store: Store):
    number = await add_account(store)
    record = await store.accounts.get(number)
    changed = replace(record, url="https://ca/account/1", contact=(), deactivated_s=2.0)
    await store.accounts.keep(changed)
    assert await store.accounts.list() == [changed]
    keys = await store.accounts.keys(number)
    assert (keys.key_pem, keys.next_key_pem, keys.binding_key) == (KEY_PEM, "", SECRET)


async def test_no_secret_of_an_account_or_an_order_is_in_the_database(store: Store):
    renewal = await add_renewal(store)
    await store.accounts.keep_next_key(renewal.terms.account_id, KEY_PEM)
    await store.orders.add(new_order(renewal), private_key_pem=KEY_PEM)
    async with store.side() as side:
        rows = [
            dict(row)
            for table in (acme_account, acme_order)
            for row in (await side.connection.execute(select(table))).mappings()
        ]
    for secret in (KEY_PEM, SECRET, KEY_PEM.splitlines()[1]):
        assert secret.encode() not in repr(rows).encode()
        assert all(
            secret.encode() not in value for row in rows for value in row.values() if isinstance(value, bytes)
        )


async def test_a_secret_does_not_open_in_the_place_of_another(store: Store, keyring: Keyring):
    first, second = await add_account(store), await add_account(store, "other")
    async with store.side() as side:
        own = (
            await side.connection.execute(
                select(acme_account.c.sealed_binding).where(acme_account.c.id == first)
            )
        ).scalar_one()
        await side.connection.execute(
            acme_account.update().where(acme_account.c.id == second).values(sealed_key=own)
        )
    with pytest.raises(StorageError):
        await store.accounts.keys(second)


async def test_the_next_key_takes_the_place_of_the_former(store: Store):
    number = await add_account(store)
    await store.accounts.keep_next_key(number, "the next")
    assert (await store.accounts.keys(number)).next_key_pem == "the next"
    assert await store.accounts.promote_next_key(number, "the next")
    keys = await store.accounts.keys(number)
    assert (keys.key_pem, keys.next_key_pem) == ("the next", "")


async def test_a_next_key_that_a_ca_may_know_is_not_replaced_and_is_promoted_once(store: Store):
    number = await add_account(store)
    await store.accounts.keep_next_key(number, "the next")
    await store.accounts.keep_next_key(number, "of somebody else")
    assert not await store.accounts.promote_next_key(number, "of somebody else")
    assert [await store.accounts.promote_next_key(number, "the next") for _ in range(2)] == [True, False]
    keys = await store.accounts.keys(number)
    assert (keys.key_pem, keys.next_key_pem) == ("the next", "")


async def test_an_account_that_is_not_there_is_said_so(store: Store):
    for act in (store.accounts.get, store.accounts.keys, store.accounts.delete):
        with pytest.raises(NotFoundError):
            await act(AccountId(9))


async def test_an_account_is_deleted_only_when_nothing_is_renewed_with_it(store: Store):
    renewal = await add_renewal(store)
    with pytest.raises(ConflictError):
        await store.accounts.delete(renewal.terms.account_id)
    await store.renewals.delete(renewal.id)
    await store.accounts.delete(renewal.terms.account_id)
    assert await store.accounts.list() == []


LEFT = LeftProof(
    challenge=ChallengeKind.DNS,
    proof=Proof(name="a", authorization_url="u", challenge_url="v", token="t", response="r"),
    since_s=0.5,
    tries=2,
    retry_at_s=1.5,
    message="why",
)


async def test_a_renewal_is_read_as_it_was_kept(store: Store):
    renewal = await add_renewal(store)
    assert await store.renewals.list() == [renewal]
    changed = replace(
        renewal,
        terms=None,
        nodes=(NodeName("n1"),),
        slot="client",
        takes_from=(CertificateId(7),),
        takes_leaves=(Fingerprint("b" * 64),),
        is_placed=True,
        is_paused=True,
        send_to="certs@example.com",
        window=Window(start_s=1.25, end_s=2.5),
        window_of=Fingerprint("a" * 64),
        window_why="https://ca/why",
        poll_at_s=3.5,
        failures=2,
        retry_at_s=4.5,
        problem=PROBLEM,
        left=(LEFT,),
        changed_s=5.5,
    )
    await store.renewals.keep(changed)
    assert await store.renewals.get(renewal.id) == changed
    assert await store.renewals.of_certificate(renewal.certificate_id) == changed


@pytest.mark.parametrize("field", ['"takes_leaves":[],', '"is_placed":false,'])
async def test_a_renewal_without_a_field_that_former_managers_did_not_keep_is_read_without_it(
    store: Store, field: str
):
    renewal = await add_renewal(store, takes_from=(CertificateId(7),))
    async with store.side() as side:
        body = (await side.connection.execute(select(renewal_table.c.body))).scalar_one()
        former = body.replace(field, "")
        assert former != body
        await side.connection.execute(renewal_table.update().values(body=former))
    assert await store.renewals.get(renewal.id) == renewal


async def test_a_certificate_has_one_renewal(store: Store):
    renewal = await add_renewal(store)
    with pytest.raises(ConflictError):
        await store.renewals.add(renewal)


async def test_a_renewal_needs_its_certificate_and_its_account(store: Store):
    renewal = await add_renewal(store)
    with pytest.raises(NotFoundError):
        await store.renewals.add(replace(renewal, certificate_id=CertificateId(99)))
    terms = replace(renewal.terms, account_id=AccountId(99))
    with pytest.raises(NotFoundError):
        await store.renewals.keep(replace(renewal, terms=terms))


async def test_a_deleted_certificate_leaves_its_renewal_behind_which_is_over(store: Store):
    renewal = await add_renewal(store)
    assert not renewal.is_over
    await store.certificates.delete([renewal.certificate_id], even_assigned=False)
    assert (await store.renewals.get(renewal.id)).is_over


async def test_an_order_is_read_as_it_was_kept(store: Store):
    renewal = await add_renewal(store)
    order = await store.orders.add(new_order(renewal), private_key_pem=KEY_PEM)
    assert await store.orders.unfinished() == [order]
    proof = Proof(name="a", authorization_url="u", challenge_url="v", token="t", response="r")
    changed = replace(
        order,
        state=OrderState.PLACED,
        url="u",
        finalize_url="f",
        certificate_url="c",
        proofs=(proof,),
        placing_s=0.1 + 0.2,
        is_answered=True,
        answer_text="answer",
        answer_id=renewal.certificate_id,
        recheck_at_s=1e9 / 3,
        problem=PROBLEM,
        changed_s=7.0,
    )
    await store.orders.keep(changed)
    assert await store.orders.get(order.id) == changed
    assert await store.orders.unfinished_of(renewal.id) == changed
    assert await store.orders.private_key(order.id) == KEY_PEM


async def test_a_renewal_has_one_order_that_is_not_over_whoever_writes_it(store: Store):
    renewal = await add_renewal(store)
    first = await store.orders.add(new_order(renewal), private_key_pem=KEY_PEM)
    with pytest.raises(ConflictError):
        await store.orders.add(new_order(renewal), private_key_pem=KEY_PEM)
    await store.orders.keep(replace(first, state=OrderState.FAILED))
    second = await store.orders.add(new_order(renewal), private_key_pem=KEY_PEM)
    with pytest.raises(ConflictError):
        await store.orders.keep(first)
    assert await store.orders.unfinished() == [second]


@pytest.mark.parametrize("state", [OrderState.SERVED, OrderState.TESTED, OrderState.FAILED])
async def test_an_order_that_is_over_has_no_key(store: Store, state: OrderState):
    renewal = await add_renewal(store)
    order = await store.orders.add(new_order(renewal), private_key_pem=KEY_PEM)
    await store.orders.keep(replace(order, state=state))
    with pytest.raises(NotFoundError):
        await store.orders.private_key(order.id)


async def test_orders_go_with_their_renewal(store: Store):
    renewal = await add_renewal(store)
    order = await store.orders.add(new_order(renewal), private_key_pem=KEY_PEM)
    await store.renewals.delete(renewal.id)
    with pytest.raises(NotFoundError):
        await store.orders.get(order.id)


async def test_orders_of_a_retired_renewal_stay_for_a_while_and_it_keeps_neither_its_account_nor_its_certificate(
    store: Store,
):
    renewal = await add_renewal(store)
    order = await store.orders.add(new_order(renewal), private_key_pem=KEY_PEM)
    await store.orders.keep(replace(order, state=OrderState.FAILED))
    await store.renewals.retire(renewal, until_s=NOW_S + 9.0)
    with pytest.raises(NotFoundError):
        await store.renewals.get(renewal.id)
    assert (await store.renewals.list(), await store.renewals.of_certificate(renewal.certificate_id)) == (
        [],
        None,
    )
    await store.accounts.delete(renewal.terms.account_id)
    for now_s, kept in ((NOW_S + 8.0, [order.id]), (NOW_S + 9.0, [])):
        await store.renewals.collect(now_s=now_s)
        assert [each.id for each in await store.orders.of_renewal(renewal.id, limit=9)] == kept


async def test_the_latest_order_of_each_renewal_that_has_any_is_read_at_once(store: Store):
    first, second, _ = await add_renewal(store), await add_renewal(store), await add_renewal(store)
    for renewal in (first, second, first):
        order = await store.orders.add(new_order(renewal), private_key_pem=KEY_PEM)
        await store.orders.keep(replace(order, state=OrderState.FAILED))
    latest = await store.orders.latest()
    assert {number: order.id for number, order in latest.items()} == {first.id: 3, second.id: 2}


async def test_what_a_later_version_wrote_is_refused(store: Store):
    renewal = await add_renewal(store)
    order = await store.orders.add(new_order(renewal), private_key_pem=KEY_PEM)
    async with store.side() as side:
        body = (await side.connection.execute(select(acme_order.c.body))).scalar_one()
        later = body.replace('"version":1', '"version":2')
        assert later != body
        await side.connection.execute(acme_order.update().values(body=later))
    with pytest.raises(StorageError, match="an order in version 2"):
        await store.orders.get(order.id)


async def test_a_certificate_that_renews_another_takes_its_places_in_one_transaction(store: Store):
    await add_nodes(store, NodeName("n1"), NodeName("n2"), NodeName("n3"))
    before, _ = await store.certificates.add(
        new_certificate("01"), nodes=[NodeName("n1"), NodeName("n2")], now_s=NOW_S
    )
    kept = await store.catalogue.renew(
        before.id, new_certificate("02"), nodes=[NodeName("n3")], slot="server", now_s=NOW_S
    )
    assert (kept.nodes, kept.created) == (["n1", "n2", "n3"], True)
    assert await store.certificates.nodes_of(before.id) == []
    with pytest.raises(NotFoundError):
        await store.catalogue.renew(
            CertificateId(99), new_certificate("03"), nodes=[], slot="server", now_s=NOW_S
        )
    assert len(await store.certificates.list()) == 2
