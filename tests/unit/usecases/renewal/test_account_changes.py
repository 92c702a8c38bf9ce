"""Accounts at CAs that were described wrongly: what can be corrected, and what stays once a CA knows the account."""

import pytest

from common.errors import ConflictError, InvalidInputError
from manager.domain.renewal.account_fields import AccountChanges, AccountFields
from manager.domain.renewal.records import AccountId, OrderState
from manager.domain.renewal.schedule import RATE_LIMITED
from manager.usecases.renewal.ports import CaError
from tests.fakes.ca import ModelCa
from tests.pki import DAY_S, make_root
from tests.renewals import DIRECTORY, STAGING, Renewing

WRONG, RIGHT = "d3JvbmctYmluZGluZy1rZXk", "cmlnaHQtYmluZGluZy1rZXk"
BOUND = {"binding_id": "kid-1", "binding_key": WRONG}


async def added(world: Renewing, **changes: str) -> AccountId:
    fields = AccountFields(**{"name": "le", "directory_url": DIRECTORY, "staging_url": STAGING, **changes})
    return (await world.accounts.add(fields, actor="ada")).id


async def edit(world: Renewing, account: AccountId, **changes: str) -> None:
    await world.accounts.edit(account, AccountChanges(**changes), actor="ada")


async def mended(world: Renewing, account: AccountId, how: str) -> None:
    """Change of an account what may have been wrong, or register it."""
    if how == "edit":
        await edit(world, account, trusted_cas=make_root().certificate_pem)
    else:
        await world.accounts.register(account, actor="ada")


async def binding(world: Renewing, account: AccountId) -> tuple[str, str]:
    record, keys = await world.store.accounts.with_keys(account)
    return record.binding_id, keys.binding_key


async def test_all_of_an_account_that_no_ca_knows_can_be_corrected(world: Renewing):
    account, root = await added(world, **BOUND), make_root().certificate_pem
    right = {
        "name": "own",
        "directory_url": "https://own.example.com/directory",
        "staging_url": "",
        "trusted_cas": root,
        "binding_id": "kid-2",
        "binding_key": RIGHT,
    }
    await edit(world, account, **right)
    kept = await world.accounts.get(account)
    assert {part: getattr(kept, part) for part in right if part != "binding_key"} == {
        part: text for part, text in right.items() if part != "binding_key"
    }
    assert await binding(world, account) == ("kid-2", RIGHT)


@pytest.mark.parametrize(
    ("changes", "kept"),
    [
        ({"binding_key": RIGHT}, ("kid-1", RIGHT)),
        ({"binding_id": "kid-2"}, ("kid-2", WRONG)),
        ({"binding_id": "", "binding_key": ""}, ("", "")),
        ({"name": "x"}, ("kid-1", WRONG)),
    ],
)
async def test_what_of_a_binding_is_not_given_stays(
    world: Renewing, changes: dict[str, str], kept: tuple[str, str]
):
    account = await added(world, **BOUND)
    await edit(world, account, **changes)
    assert await binding(world, account) == kept


async def test_half_a_binding_is_left_by_no_edit(world: Renewing):
    account = await added(world)
    with pytest.raises(InvalidInputError) as caught:
        await edit(world, account, binding_id="kid-1")
    assert caught.value.field == "binding_id"
    assert await binding(world, account) == ("", "")


async def test_an_account_whose_binding_was_wrong_is_registered_after_it_was_corrected(world: Renewing):
    account = await added(world, **BOUND)
    world.server.to_fail.append(("register", CaError("the binding is unknown", is_final=True)))
    with pytest.raises(CaError):
        await world.accounts.register(account, actor="ada")
    await edit(world, account, binding_key=RIGHT)
    assert (await world.accounts.register(account, actor="ada")).url


@pytest.mark.parametrize("mend", ["edit", "register"])
async def test_what_failed_with_an_account_is_tried_again_once_the_account_was_mended(
    world: Renewing, mend: str
):
    world.server.to_fail += [("register", CaError("the binding is unknown", is_final=True))] * 2
    renewal, other = await world.renewing("n1", age_days=40), await added(world, name="other")
    account = renewal.terms.account_id
    await world.pass_time(60)
    failed = await world.renewal(renewal)
    assert failed.retry_at_s > world.now[0]
    await edit(world, other, trusted_cas=make_root().certificate_pem)
    assert await world.renewal(renewal) == failed
    world.server.to_fail.clear()
    await mended(world, account, mend)
    assert (await world.renewal(renewal)).retry_at_s <= world.now[0]
    await world.pass_time(60)
    assert (await world.states(renewal))[-1] is OrderState.SERVED


@pytest.mark.parametrize("later_s", [60.0, 3 * DAY_S])
@pytest.mark.parametrize("mend", ["edit", "register"])
async def test_what_failed_with_an_account_before_its_time_is_tried_again_too_and_what_has_not_failed_waits(
    world: Renewing, mend: str, later_s: float
):
    renewal, other = await world.renewing("n1"), await world.renewing("n2")
    account = renewal.terms.account_id
    agree = CaError("agree", type="userActionRequired", is_final=True)
    world.server.to_fail += [("register", agree)] * 9
    await world.renewals.order_now(renewal.id, actor="ada")
    await world.once()
    assert await world.states(renewal) == [OrderState.FAILED]
    world.server.to_fail.clear()
    world.now[0] += later_s
    await mended(world, account, mend)
    await world.pass_time(60, step_s=5)
    assert await world.states(renewal) == [OrderState.FAILED, OrderState.SERVED]
    await world.pass_time(3 * DAY_S)
    assert (len(await world.orders(renewal)), await world.orders(other)) == (2, [])


@pytest.mark.parametrize(
    "changes",
    [
        AccountChanges(),
        AccountChanges(name="x"),
        AccountChanges(contact=["ops@example.com"]),
        AccountChanges(contact=["night@example.com"]),
        None,
    ],
)
async def test_what_changes_nothing_that_a_ca_refuses_orders_for_lets_nothing_be_tried_again(
    world: Renewing, changes: AccountChanges | None
):
    renewal = await world.renewing("n1")
    account = renewal.terms.account_id
    world.server.unprovable.add("n1.example.com")
    await world.renewals.order_now(renewal.id, actor="ada")
    await world.pass_time(3600.0, step_s=1800)
    failed = await world.renewal(renewal)
    assert (await world.states(renewal), failed.failures) == ([OrderState.FAILED], 1)
    if changes is None:
        await world.accounts.register(account, actor="ada")
    else:
        await world.accounts.edit(account, changes, actor="ada")
    await world.pass_time(60, step_s=5)
    assert (await world.renewal(renewal), len(await world.orders(renewal))) == (failed, 1)


@pytest.mark.parametrize("wait_s", [3600.0, 7 * 3600.0])
@pytest.mark.parametrize(
    ("directory_url", "is_kept"), [(DIRECTORY, True), ("https://own.example.com/directory", False)]
)
async def test_a_limit_of_the_former_ca_ends_with_another_directory_and_with_nothing_else_of_an_account(
    world: Renewing, wait_s: float, directory_url: str, is_kept: bool
):
    limit = CaError("too many accounts", type=RATE_LIMITED, detail="too many", retry_after_s=wait_s)
    # also when a window is asked for
    world.server.to_fail += [("register", limit)] * 2
    renewal = await world.renewing("n1", age_days=40)
    await world.pass_time(60, step_s=5)
    failed = await world.renewal(renewal)
    assert failed.retry_at_s > world.now[0]
    await edit(world, renewal.terms.account_id, name="own", directory_url=directory_url)
    kept = await world.renewal(renewal)
    assert kept.retry_at_s == (failed.retry_at_s if is_kept else 0.0)
    await world.pass_time(60, step_s=5)
    assert await world.states(renewal) == [OrderState.CREATED if is_kept else OrderState.SERVED]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"directory_url": "https://own.example.com/directory"}, "directory_url"),
        ({"binding_id": "kid-2"}, "binding_id"),
        ({"binding_key": RIGHT}, "binding_key"),
        ({"binding_id": "", "binding_key": ""}, "binding_id"),
    ],
)
async def test_what_a_registered_account_is_known_by_stays_and_is_refused_by_its_field(
    world: Renewing, changes: dict[str, str], field: str
):
    account = await added(world, **BOUND)
    await world.accounts.register(account, actor="ada")
    before = await world.store.accounts.with_keys(account)
    with pytest.raises(InvalidInputError, match="add another account") as caught:
        await edit(world, account, name="new", **changes)
    assert caught.value.field == field
    assert await world.store.accounts.with_keys(account) == before


async def test_name_trust_and_tests_of_a_registered_account_can_be_corrected(world: Renewing):
    account, root = await added(world, **BOUND), make_root().certificate_pem
    registered = await world.accounts.register(account, actor="ada")
    await edit(world, account, name="new", trusted_cas=root, staging_url="", directory_url=DIRECTORY)
    kept = await world.accounts.get(account)
    assert (kept.name, kept.trusted_cas, kept.staging_url, kept.url) == ("new", root, "", registered.url)


async def test_nobody_has_agreed_to_the_terms_of_another_ca(world: Renewing):
    account = (
        await world.accounts.add(
            AccountFields(name="le", directory_url=DIRECTORY, terms_agreed=True), actor="ada"
        )
    ).id
    await edit(world, account, name="x")
    assert (await world.accounts.get(account)).terms_agreed
    await edit(world, account, directory_url="https://own.example.com/directory")
    assert not (await world.accounts.get(account)).terms_agreed


async def test_contacts_that_the_ca_does_not_take_are_not_kept_nor_anything_beside(world: Renewing):
    account = await added(world)
    await world.accounts.register(account, actor="ada")
    world.server.to_fail.append(("update_contact", CaError("no")))
    with pytest.raises(CaError):
        await world.accounts.edit(account, AccountChanges(name="new", contact=["a@example.com"]), actor="ada")
    kept = await world.accounts.get(account)
    assert (kept.name, kept.contact) == ("le", ())


async def test_an_edit_takes_no_name_of_another_account_and_none_of_what_is_no_account(world: Renewing):
    await added(world)
    account = await added(world, name="second")
    with pytest.raises(ConflictError, match="there is an account 'le' already"):
        await edit(world, account, name="le")
    for field, text in (("name", ""), ("directory_url", "http://x"), ("binding_key", "a+b/")):
        with pytest.raises(InvalidInputError):
            await edit(world, account, **{field: text})
    await edit(world, account, name="second")


async def test_an_act_of_an_edit_has_what_was_changed_and_no_key(world: Renewing):
    account = await added(world, **BOUND)
    await edit(world, account, name="new", binding_key=RIGHT)
    act = (await world.store.audit.list())[0]
    assert act.action == "account.changed"
    assert "new" in str(act.detail)
    assert "binding_key" in str(act.detail)
    assert RIGHT not in str(act.detail)
    assert DIRECTORY not in str(act.detail)


async def test_no_account_is_ended_while_its_ca_signs_what_was_ordered_with_it_and_what_waits_is_named(
    world: Renewing,
):
    renewal = await world.renewing("n1", age_days=40)
    world.server.processing_s = 3600.0
    await world.pass_time(60, step_s=5)
    assert await world.states(renewal) == [OrderState.FINALISED]
    with pytest.raises(
        ConflictError, match=r"order 1 of renewal 1 for n1\.example\.com\. Wait for the end, or"
    ):
        await world.accounts.deactivate(renewal.terms.account_id, actor="ada")
    assert world.server.asked["deactivate"] == 0
    assert (await world.store.audit.list())[0].action != "account.deactivation_begun"
    await world.pass_time(2 * 3600.0, step_s=60)
    assert await world.states(renewal) == [OrderState.SERVED]
    assert (await world.accounts.deactivate(renewal.terms.account_id, actor="ada")).is_deactivated


async def test_no_account_is_ended_while_its_ca_looks_at_proofs_for_it_would_sign_meanwhile(
    world: Renewing, monkeypatch: pytest.MonkeyPatch
):
    renewal = await world.renewing("n1", age_days=40)
    world.server.validation_s = 30.0
    await world.pass_time(20, step_s=5)
    assert await world.states(renewal) == [OrderState.PLACED]
    deactivate = ModelCa.deactivate

    async def late(ca: ModelCa) -> None:
        # the CA takes a minute, in which the order goes on
        await world.pass_time(60, step_s=5)
        await deactivate(ca)

    monkeypatch.setattr(ModelCa, "deactivate", late)
    with pytest.raises(ConflictError, match="signs what was ordered with this account, or is about to"):
        await world.accounts.deactivate(renewal.terms.account_id, actor="ada")
    await world.pass_time(60, step_s=5)
    assert await world.states(renewal) == [OrderState.SERVED]


async def test_whoever_paused_what_keeps_an_account_from_its_end_is_told_to_resume_it(world: Renewing):
    renewal = await world.renewing("n1", age_days=40)
    world.server.validation_s = 300.0
    await world.pass_time(20, step_s=5)
    with pytest.raises(ConflictError) as running:
        await world.accounts.deactivate(renewal.terms.account_id, actor="ada")
    await world.renewals.set_paused(renewal.id, paused=True, actor="ada")
    with pytest.raises(ConflictError) as paused:
        await world.accounts.deactivate(renewal.terms.account_id, actor="ada")
    told = f"; resume what is paused, so that its order goes on: renewal {renewal.id}"
    assert paused.value.message == running.value.message + told


async def test_an_account_is_ended_while_nothing_but_a_test_order_is_looked_at(world: Renewing):
    renewal = await world.renewing("n1")
    world.staging.validation_s = 3600.0
    await world.renewals.test(renewal.id, actor="ada")
    await world.pass_time(20, step_s=5)
    assert await world.states(renewal) == [OrderState.PLACED]
    assert (await world.accounts.deactivate(renewal.terms.account_id, actor="ada")).is_deactivated
    await world.pass_time(600, step_s=5)
    assert (await world.states(renewal), world.showing.placed) == ([OrderState.FAILED], {})


async def test_an_account_is_ended_at_once_while_an_order_is_not_signed_for_and_leaves_no_proof(
    world: Renewing,
):
    renewal = await world.renewing("n1", age_days=40)
    world.showing.missing_at = lambda _name: "n1"
    await world.pass_time(60, step_s=5)
    assert await world.states(renewal) == [OrderState.ORDERED]
    await world.accounts.deactivate(renewal.terms.account_id, actor="ada")
    await world.pass_time(600, step_s=5)
    assert set(await world.states(renewal)) == {OrderState.FAILED}
    assert world.showing.placed == {}
