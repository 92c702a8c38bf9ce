"""Accounts at CAs: what is kept before a CA is asked, and what of them nobody sees."""

import pytest

from common.errors import ConflictError, InvalidInputError, NotFoundError
from manager.domain.renewal.account_fields import CONTACTS_MAX, AccountChanges, AccountFields
from manager.domain.renewal.records import ChallengeKind, OrderState
from manager.usecases.renewal.ports import CaError, NoCas, wake_nobody
from manager.usecases.usecases import UseCases
from tests.fakes.ca import ModelCa
from tests.fakes.ca_server import Killed
from tests.pki import NOW_S
from tests.renewals import DIRECTORY, Renewing

HOUR_S = 3600.0
SECRET = "c2VjcmV0LWJpbmRpbmcta2V5"


def fields(**changes) -> AccountFields:
    return AccountFields(
        **{"name": "le", "directory_url": DIRECTORY, "contact": ["ops@example.com"], **changes}
    )


async def test_an_account_is_kept_before_its_ca_knows_it_and_registered_once(world: Renewing):
    made = await world.accounts.add(fields(), actor="ada")
    assert (made.url, made.contact, world.server.accounts) == ("", ("mailto:ops@example.com",), {})
    registered = await world.accounts.register(made.id, actor="ada")
    again = await world.accounts.register(made.id, actor="ada")
    assert registered.url == again.url == "https://ca/account/1"
    assert [act.action for act in await world.store.audit.list()][::-1] == [
        "account.added",
        "account.registered",
    ]


async def test_an_account_that_is_not_registered_is_when_it_is_first_needed(world: Renewing):
    renewal = await world.renewing("n1", age_days=40)
    await world.pass_time(HOUR_S)
    assert await world.states(renewal) == [OrderState.SERVED]
    assert (await world.accounts.list())[0].url == "https://ca/account/1"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""),
        ("name", "x" * 151),
        ("name", "two\nlines"),
        ("directory_url", "http://ca.example.com/directory"),
        ("directory_url", "https://"),
        ("directory_url", "https://ca.example.com/\n"),
        ("directory_url", "https://a..b/"),
        ("directory_url", "https://[::1"),
        ("directory_url", "https://a b/"),
        ("directory_url", "https://%0a/"),
        ("directory_url", "https://ca.example.com:99999/"),
        ("directory_url", "https://ca.example.com/#part"),
        ("directory_url", "https://user:secret@ca.example.com/"),
        ("staging_url", "https://user@ca.example.com/"),
        ("directory_url", "https://ca.example.com/" + "x" * 2048),
        ("staging_url", "ftp://ca.example.com"),
        ("contact", ["nobody"]),
        ("contact", ["a@b, c@d"]),
        ("contact", [f"a{number}@b" for number in range(CONTACTS_MAX + 1)]),
        ("binding_id", "kid-without-key"),
        ("binding_key", SECRET),
    ],
)
async def test_an_account_that_no_ca_would_take_is_refused_by_field(
    world: Renewing, field: str, value: object
):
    with pytest.raises(InvalidInputError) as caught:
        await world.accounts.add(fields(**{field: value}), actor="ada")
    assert caught.value.field.split("_")[0] == field.split("_", maxsplit=1)[0]
    assert await world.accounts.list() == []


@pytest.mark.parametrize(
    ("host", "said"),
    [
        ("a..b", "has nothing before a dot"),
        ("10.0.0.999", "ends in a number, as only an IPv4 address does, and is none"),
        ("xn--a", "has a part ('xn--a') that stands for no international name"),
        ("ca.example.com.", "ends with a dot, which is to be left out"),
        ("b\xfccher.example", "write it as 'xn--bcher-kva.example'"),
        ("ca\u2100.example", "has characters that names in DNS do not have"),
    ],
)
async def test_a_host_that_there_cannot_be_is_told_with_what_is_wrong_with_it(
    world: Renewing, host: str, said: str
):
    for part in ("directory_url", "staging_url"):
        with pytest.raises(InvalidInputError) as caught:
            await world.accounts.add(fields(**{part: f"https://{host}:8443/directory"}), actor="ada")
        assert caught.value.field == part
        assert f"the host '{host}' of the address " in caught.value.message
        assert said in caught.value.message
    made = await world.accounts.add(fields(directory_url="https://my_ca:8443/directory"), actor="ada")
    assert made.directory_url == "https://my_ca:8443/directory"


@pytest.mark.parametrize("staging", ["https://CA.example.com:443/dir", "https://ca.example.com/dir"])
async def test_a_directory_for_tests_is_not_the_one_where_certificates_are_ordered(
    world: Renewing, staging: str
):
    with pytest.raises(InvalidInputError, match="where a test order would be a real one") as caught:
        await world.accounts.add(
            fields(directory_url="https://ca.example.com/dir", staging_url=staging), actor="ada"
        )
    assert caught.value.field == "staging_url"


@pytest.mark.parametrize("url", ["https://2001:db8::1/directory", "https://::1/d", "https://::1"])
async def test_an_ipv6_address_without_brackets_is_told_with_them(world: Renewing, url: str):
    with pytest.raises(InvalidInputError, match=r"in brackets in an address, as in https://\[2001:db8::1\]/"):
        await world.accounts.add(fields(directory_url=url), actor="ada")
    kept = await world.accounts.add(fields(directory_url="https://[2001:db8::1]:14000/dir"), actor="ada")
    assert kept.directory_url == "https://[2001:db8::1]:14000/dir"


@pytest.mark.parametrize("secret", ["a+b/", "with space", "c2VjcmV0é", "c2Vjc"])
async def test_a_binding_key_that_no_ca_gives_is_refused_by_its_field_and_not_said(
    world: Renewing, secret: str
):
    with pytest.raises(InvalidInputError) as caught:
        await world.accounts.add(fields(binding_id="kid-1", binding_key=secret), actor="ada")
    assert (caught.value.field, secret in caught.value.message) == ("binding_key", False)
    assert await world.accounts.list() == []


async def test_two_accounts_have_different_names(world: Renewing):
    await world.accounts.add(fields(), actor="ada")
    with pytest.raises(ConflictError):
        await world.accounts.add(fields(), actor="ada")


async def test_secrets_are_in_no_record_and_in_no_act(world: Renewing):
    new = fields(binding_id="kid", binding_key=SECRET)
    made = await world.accounts.add(new, actor="ada")
    keys = await world.store.accounts.keys(made.id)
    assert keys.binding_key == SECRET
    shown = f"{new!r} {made!r} {keys!r} {[act.detail for act in await world.store.audit.list()]}"
    assert SECRET not in shown
    assert "PRIVATE KEY" not in shown


async def test_a_new_key_is_kept_before_the_ca_hears_of_it(world: Renewing):
    account = await world.account()
    await world.accounts.register(account, actor="ada")
    before = await world.store.accounts.keys(account)
    await world.accounts.change_key(account, actor="ada")
    after = await world.store.accounts.keys(account)
    assert (after.next_key_pem, list(world.server.accounts)) == ("", [after.key_pem])
    assert after.key_pem != before.key_pem


@pytest.mark.parametrize("place", ["before change_key", "after change_key"])
async def test_a_change_of_key_that_was_killed_is_brought_to_its_end_by_whoever_asks_the_ca_next(
    world: Renewing, place: str
):
    renewal = await world.renewing("n1", age_days=40)
    account = renewal.terms.account_id
    await world.accounts.register(account, actor="ada")

    def kill(where: str) -> None:
        if where == place:
            world.server.killer = lambda _where: None
            raise Killed

    world.server.killer = kill
    with pytest.raises(Killed):
        await world.accounts.change_key(account, actor="ada")
    wanted = (await world.store.accounts.keys(account)).next_key_pem
    assert wanted
    await world.pass_time(HOUR_S)
    keys = await world.store.accounts.keys(account)
    assert (keys.key_pem, keys.next_key_pem, list(world.server.accounts)) == (wanted, "", [wanted])
    assert await world.states(renewal) == [OrderState.SERVED]


async def test_a_ca_that_refuses_a_new_key_leaves_the_former_one_in_use(world: Renewing):
    account = await world.account()
    await world.accounts.register(account, actor="ada")
    before = (await world.store.accounts.keys(account)).key_pem
    world.server.to_fail.append(("change_key", CaError("the CA could not be reached")))
    with pytest.raises(CaError):
        await world.accounts.change_key(account, actor="ada")
    assert (await world.store.accounts.keys(account)).key_pem == before


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_change_of_key_that_two_bring_to_its_end_at_once_leaves_the_key_that_the_ca_knows(
    world: Renewing, monkeypatch: pytest.MonkeyPatch, when: str
):
    account = await world.account()
    await world.accounts.register(account, actor="ada")
    change_key = ModelCa.change_key

    async def also_by_another(ca: ModelCa, new_key_pem: str) -> None:
        monkeypatch.setattr(ModelCa, "change_key", change_key)
        if when == "after":
            await change_key(ca, new_key_pem)
        await world.accounts.change_key(account, actor="bob")
        if when == "before":
            await change_key(ca, new_key_pem)

    monkeypatch.setattr(ModelCa, "change_key", also_by_another)
    await world.accounts.change_key(account, actor="ada")
    keys = await world.store.accounts.keys(account)
    assert (list(world.server.accounts), keys.next_key_pem) == ([keys.key_pem], "")
    acts = [(each.actor, each.action) for each in await world.store.audit.list()]
    assert acts[:2] == [("bob", "account.key_changed"), ("ada", "account.key_change_begun")]


@pytest.mark.parametrize("is_final", [True, False])
async def test_a_ca_that_does_not_change_keys_holds_up_no_order(
    world: Renewing, monkeypatch: pytest.MonkeyPatch, is_final: bool
):
    renewal = await world.renewing("n1", age_days=40)
    account = renewal.terms.account_id
    await world.accounts.register(account, actor="ada")
    keys = await world.store.accounts.keys(account)

    async def refuse(_ca: ModelCa, _new_key_pem: str) -> None:
        raise CaError("it does not change the keys of accounts", is_final=is_final)

    monkeypatch.setattr(ModelCa, "change_key", refuse)
    with pytest.raises(CaError, match="does not change"):
        await world.accounts.change_key(account, actor="ada")
    assert bool((await world.store.accounts.keys(account)).next_key_pem) is not is_final
    assert list(world.server.accounts) == [keys.key_pem]
    await world.pass_time(HOUR_S)
    assert await world.states(renewal) == [OrderState.SERVED]
    acts = {each.action for each in await world.store.audit.list()}
    assert ("account.key_change_refused" in acts, "account.key_changed" in acts) == (is_final, False)


async def test_an_account_whose_directory_was_changed_while_its_ca_was_asked_is_not_taken_for_registered(
    world: Renewing, monkeypatch: pytest.MonkeyPatch
):
    account, register = await world.account(), ModelCa.register

    async def meanwhile(ca: ModelCa, *, binding_key: str) -> str:
        changes = AccountChanges(directory_url="https://other.example.com/directory")
        await world.accounts.edit(account, changes, actor="bob")
        return await register(ca, binding_key=binding_key)

    monkeypatch.setattr(ModelCa, "register", meanwhile)
    with pytest.raises(ConflictError, match="register the account again"):
        await world.accounts.register(account, agrees=True, actor="ada")
    kept = await world.accounts.get(account)
    assert (kept.url, kept.terms_agreed) == ("", False)


REFUSED = CaError("the CA refused", type="serverInternal")


@pytest.mark.parametrize(
    ("act", "begun", "done"),
    [
        ("change_key", "account.key_change_begun", "account.key_changed"),
        ("deactivate", "account.deactivation_begun", "account.deactivated"),
    ],
)
async def test_what_a_ca_refused_is_noted_as_begun_and_not_as_done(
    world: Renewing, act: str, begun: str, done: str
):
    account = await world.account()
    await world.accounts.register(account, actor="ada")
    world.server.to_fail.append((act, REFUSED))

    async def noted() -> list[str]:
        return [each.action for each in await world.store.audit.list()]

    with pytest.raises(CaError):
        await getattr(world.accounts, act)(account, actor="ada")
    assert (begun in await noted(), done in await noted()) == (True, False)
    await getattr(world.accounts, act)(account, actor="ada")
    assert (await noted())[0] == done


async def test_an_account_with_which_something_is_renewed_is_not_deleted(world: Renewing):
    renewal = await world.renewing("n1")
    account = renewal.terms.account_id
    with pytest.raises(ConflictError, match="1 renewal"):
        await world.accounts.delete(account, actor="ada")
    await world.renewals.remove(renewal.id, actor="ada")
    await world.accounts.delete(account, actor="ada")
    with pytest.raises(NotFoundError):
        await world.accounts.get(account)


async def test_an_account_that_the_ca_has_ended_though_its_answer_was_lost_is_noted_as_ended_at_the_next_try(
    world: Renewing,
):
    account = await world.account()
    await world.accounts.register(account, actor="ada")
    world.server.to_lose.append("deactivate")
    with pytest.raises(CaError):
        await world.accounts.deactivate(account, actor="ada")
    assert (await world.accounts.get(account)).deactivated_s is None
    assert (await world.accounts.deactivate(account, actor="ada")).deactivated_s == NOW_S


async def test_contacts_are_told_to_the_ca_once_it_knows_the_account(world: Renewing):
    account = await world.account()
    await world.accounts.edit(account, AccountChanges(contact=["a@example.com"]), actor="ada")
    assert world.server.asked["update_contact"] == 0
    await world.accounts.register(account, actor="ada")
    changed = await world.accounts.edit(
        account, AccountChanges(contact=["mailto:b@example.com"]), actor="ada"
    )
    assert (changed.contact, world.server.asked["update_contact"]) == (("mailto:b@example.com",), 1)


async def test_that_somebody_agreed_to_the_terms_is_kept(world: Renewing):
    account = await world.account()
    assert not (await world.accounts.get(account)).terms_agreed
    await world.accounts.register(account, agrees=True, actor="ada")
    assert (await world.accounts.get(account)).terms_agreed


async def test_nobody_agrees_for_an_account_that_its_ca_knows_which_no_request_can_do(world: Renewing):
    account = await world.account()
    await world.accounts.register(account, actor="ada")
    await world.accounts.register(account, agrees=True, actor="ada")
    assert not (await world.accounts.get(account)).terms_agreed


async def test_while_no_manager_runs_an_account_is_kept_and_no_ca_is_asked(world: Renewing):
    offline = UseCases(world.context, cas=NoCas(), wake=wake_nobody, challenges=tuple(ChallengeKind)).accounts
    made = await offline.add(fields(), actor="ada")
    with pytest.raises(CaError, match="the manager does not run") as caught:
        await offline.register(made.id, actor="ada")
    assert caught.value.is_final
    assert (await world.accounts.register(made.id, actor="ada")).url == "https://ca/account/1"
