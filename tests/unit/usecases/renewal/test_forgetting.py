"""What is forgotten of orders that are over: nothing that its CA still counts, and nothing that says which certificate may go."""

import pytest

from common.ids import CertificateId
from manager.domain.renewal.budget import SIGNED_BY_ITSELF_MOST
from manager.domain.renewal.records import AccountId, OrderState, RenewalRecord
from manager.usecases.renewal import renewals
from manager.usecases.renewal.ports import CaError
from manager.usecases.renewal.progress import signed_for
from tests.pki import DAY_S
from tests.renewals import Renewing

HOUR_S = 3600.0
KEPT = 3


@pytest.fixture(autouse=True)
def _few_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(renewals, "ORDERS_KEPT", KEPT)


async def signed_now(world: Renewing, account: AccountId) -> int:
    return len(await signed_for(world.context, ["n1.example.com"], account))


async def signed_and_refused(world: Renewing) -> RenewalRecord:
    """Let as many be signed, and refused here, as are ordered without being asked for."""
    renewal = await world.renewing("n1", age_days=40)
    world.server.to_spoil += ["names"] * SIGNED_BY_ITSELF_MOST
    for _ in range(SIGNED_BY_ITSELF_MOST):
        await world.pass_time(60, step_s=10)
        await world.renewals.set_paused(renewal.id, paused=False, actor="ada")
    await world.renewals.set_paused(renewal.id, paused=True, actor="ada")
    assert await signed_now(world, renewal.terms.account_id) == SIGNED_BY_ITSELF_MOST
    return renewal


async def try_often(world: Renewing, renewal: RenewalRecord) -> None:
    """Let more tests end than are kept."""
    for _ in range(KEPT + 1):
        await world.renewals.test(renewal.id, actor="ada")
        await world.pass_time(10, step_s=2)


async def certificates(world: Renewing) -> list[CertificateId]:
    return [each.id for each in await world.store.certificates.list()]


async def test_what_a_ca_has_signed_is_counted_however_many_orders_follow(world: Renewing):
    renewal = await signed_and_refused(world)
    await try_often(world, renewal)
    for _ in range(KEPT + 1):
        world.server.to_fail.append(("order", CaError("no", is_final=True)))
        await world.renewals.set_paused(renewal.id, paused=False, actor="ada")
        await world.once()
    await world.renewals.set_paused(renewal.id, paused=True, actor="ada")
    assert set((await world.states(renewal))[-KEPT:]) == {OrderState.FAILED}
    await world.renewals.collect()
    assert await signed_now(world, renewal.terms.account_id) == SIGNED_BY_ITSELF_MOST
    await world.pass_time(7 * DAY_S)
    await world.renewals.collect()
    assert await signed_now(world, renewal.terms.account_id) == 0


async def test_what_a_renewal_has_brought_goes_however_many_tests_follow(world: Renewing):
    renewal = await world.renewing("n1", age_days=40)
    await world.pass_time(HOUR_S)
    first = (await world.renewal(renewal)).certificate_id
    await try_often(world, renewal)
    await world.renewals.collect()
    await world.pass_time(31 * DAY_S, step_s=HOUR_S)
    second = (await world.renewal(renewal)).certificate_id
    assert first != second
    assert await certificates(world) == [renewal.certificate_id, second]
