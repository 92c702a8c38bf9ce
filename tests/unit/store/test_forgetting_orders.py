"""Which orders are forgotten once they are over, on either engine."""

from dataclasses import replace

from manager.domain.renewal.records import OrderRecord, OrderState, RenewalRecord
from manager.store.store import Store
from tests.unit.store.given import KEY_PEM
from tests.unit.store.test_renewing import add_renewal, new_order


async def ended(store: Store, renewal: RenewalRecord, **changes: object) -> OrderRecord:
    """Keep an order that is over."""
    order = await store.orders.add(new_order(renewal), private_key_pem=KEY_PEM)
    over = replace(order, **{"state": OrderState.FAILED, "is_test": False, **changes})
    await store.orders.keep(over)
    return over


async def ids(store: Store, renewal: RenewalRecord) -> list[int]:
    return [each.id for each in await store.orders.of_renewal(renewal.id, limit=9)]


async def test_of_each_renewal_the_latest_orders_stay(store: Store):
    first, second = await add_renewal(store), await add_renewal(store)
    for renewal in (first, second, first, first):
        await ended(store, renewal)
    open_one = await store.orders.add(new_order(first), private_key_pem=KEY_PEM)
    await store.orders.collect(keep_each=1, spared=[])
    assert (await ids(store, first), await ids(store, second)) == ([open_one.id, 4], [2])


async def test_tests_push_out_no_orders(store: Store):
    renewal = await add_renewal(store)
    real = [await ended(store, renewal) for _ in range(2)]
    tests = [await ended(store, renewal, is_test=True) for _ in range(3)]
    await store.orders.collect(keep_each=1, spared=[])
    assert await ids(store, renewal) == [tests[-1].id, real[-1].id]
    assert await store.orders.latest_real(renewal.id) == real[-1]


async def test_orders_that_are_spared_stay(store: Store):
    renewal = await add_renewal(store)
    first, _, last = [await ended(store, renewal) for _ in range(3)]
    await store.orders.collect(keep_each=1, spared=[first.id])
    assert await ids(store, renewal) == [last.id, first.id]


async def test_an_order_stays_as_long_as_the_certificate_that_it_has_brought(store: Store):
    renewal = await add_renewal(store)
    answer = renewal.certificate_id
    brought = await ended(store, renewal, state=OrderState.SERVED, answer_id=answer)
    last = await ended(store, renewal)
    await store.orders.collect(keep_each=1, spared=[])
    assert await ids(store, renewal) == [last.id, brought.id]
    assert await store.orders.brought(renewal.id) == {answer}
    await store.certificates.delete([answer], even_assigned=False)
    await store.orders.collect(keep_each=1, spared=[])
    assert (await ids(store, renewal), await store.orders.brought(renewal.id)) == ([last.id], set())


async def test_a_renewal_without_orders_has_no_latest_one(store: Store):
    renewal = await add_renewal(store)
    await ended(store, renewal, is_test=True)
    assert await store.orders.latest_real(renewal.id) is None
