"""Accounts at a real CA, which rejects every fifth nonce."""

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from manager.usecases.renewal.ports import CaError
from tests import pki
from tests.integration.acme.parts import account, asking, key_pem
from tests.pebble import NEEDED, Faults, Pebble

pytestmark = NEEDED

BINDINGS = {
    "kid-1": "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W",
    "kid-2": "c2VjcmV0LW9mLXR3bw",
}


@pytest.fixture(scope="module")
def binding_pebble(tmp_path_factory):
    """A CA that takes bound accounts only."""
    with Pebble(
        root=tmp_path_factory.mktemp("pebble"), faults=Faults(sleep_s=0), bindings=BINDINGS
    ).running() as made:
        yield made


def at(pebble: Pebble, threads, *, key=None, **fields):
    return asking(account(pebble.directory_url, trust_pem=pebble.trust_pem, **fields), threads, key=key)


async def test_a_directory_says_what_the_ca_offers(quick_pebble, threads):
    offered = await at(quick_pebble, threads).directory()
    assert offered.profiles == {"classic": "90 days", "shortlived": "6 days"}
    assert offered.has_renewal_info
    assert not offered.needs_binding
    assert offered.terms_url.startswith("data:")


@pytest.mark.parametrize(
    "key",
    [
        pytest.param(pki.make_rsa_key, id="RSA"),
        pytest.param(pki.make_key, id="P-256"),
        pytest.param(lambda: ec.generate_private_key(ec.SECP384R1()), id="P-384"),
        pytest.param(lambda: ec.generate_private_key(ec.SECP521R1()), id="P-521"),
    ],
)
async def test_an_account_is_found_again_by_its_key(quick_pebble, threads, key):
    pem = key_pem(key())
    url = await at(quick_pebble, threads, key=pem, contact=("ops@example.com",)).register(binding_key="")
    assert url.startswith(f"https://127.0.0.1:{quick_pebble.port}/")
    assert await at(quick_pebble, threads, key=pem).register(binding_key="") == url
    assert await at(quick_pebble, threads).register(binding_key="") != url


async def test_an_account_without_the_terms_is_refused(quick_pebble, threads):
    with pytest.raises(CaError) as caught:
        await at(quick_pebble, threads, terms_agreed=False).register(binding_key="")
    assert (caught.value.type, caught.value.is_final) == ("userActionRequired", True)
    assert "terms of service" in caught.value.message


async def test_an_account_is_bound_to_its_owner(binding_pebble, threads):
    pem = key_pem()
    bound = at(binding_pebble, threads, key=pem, binding_id="kid-1")
    assert (await bound.directory()).needs_binding
    url = await bound.register(binding_key=BINDINGS["kid-1"])
    assert await at(binding_pebble, threads, key=pem, binding_id="kid-1").register(binding_key="") == url


@pytest.mark.parametrize(
    ("binding_id", "binding_key", "kind"),
    [
        ("", "", "externalAccountRequired"),
        ("kid-1", BINDINGS["kid-2"], "unauthorized"),
        ("kid-3", BINDINGS["kid-1"], "unauthorized"),
        ("kid-1", "not base64url!", ""),
    ],
)
async def test_a_wrong_binding_is_refused_for_good(binding_pebble, threads, binding_id, binding_key, kind):
    with pytest.raises(CaError) as caught:
        await at(binding_pebble, threads, binding_id=binding_id).register(binding_key=binding_key)
    assert (caught.value.type, caught.value.is_final) == (kind, True)
    assert not kind or "identifier and" in caught.value.message
    assert "edit" not in caught.value.message, "who registers it is told how"
    assert (
        not binding_key or binding_key not in f"{caught.value.message} {caught.value.detail} {caught.value!r}"
    )


async def test_contacts_are_changed(ca):
    await ca.update_contact(["ops@example.com", "mailto:more@example.com"])
    with pytest.raises(CaError) as caught:
        await ca.update_contact(["tel:+49301"])
    assert caught.value.type == "unsupportedContact"


async def test_another_key_counts_from_then_on(quick_pebble, threads):
    old, new = key_pem(), key_pem(pki.make_rsa_key())
    ca = at(quick_pebble, threads, key=old)
    url = await ca.register(binding_key="")
    await ca.change_key(new)
    assert (await ca.order(["a.example.com"], profile="classic", replaces="")).status == "pending"
    assert await at(quick_pebble, threads, key=new).register(binding_key="") == url
    with pytest.raises(CaError):
        await at(quick_pebble, threads, key=old, url=url).order(["a.example.com"], profile="", replaces="")


async def test_a_key_whose_change_was_answered_to_nobody_is_taken_as_changed(quick_pebble, threads):
    old, new = key_pem(), key_pem()
    ca = at(quick_pebble, threads, key=old)
    url = await ca.register(binding_key="")
    await ca.change_key(new)
    again = at(quick_pebble, threads, key=old, url=url)
    await again.change_key(new)
    assert (await again.order(["a.example.com"], profile="classic", replaces="")).status == "pending"


async def test_a_key_of_another_account_is_no_key_for_this_one(quick_pebble, threads):
    taken = key_pem()
    await at(quick_pebble, threads, key=taken).register(binding_key="")
    ca = at(quick_pebble, threads)
    await ca.register(binding_key="")
    with pytest.raises(CaError, match="did not change"):
        await ca.change_key(taken)
    assert (await ca.order(["a.example.com"], profile="classic", replaces="")).status == "pending"


async def test_an_account_that_was_ended_orders_nothing(ca):
    await ca.deactivate()
    with pytest.raises(CaError) as caught:
        await ca.order(["a.example.com"], profile="classic", replaces="")
    assert (caught.value.type, caught.value.is_final) == ("unauthorized", True)


async def test_an_account_whose_end_was_not_heard_of_can_be_ended_again(ca):
    await ca.deactivate()
    await ca.deactivate()
    with pytest.raises(CaError):
        await ca.find_account()


async def test_an_account_that_the_ca_does_not_know_orders_nothing(quick_pebble, threads):
    unknown = f"https://127.0.0.1:{quick_pebble.port}/my-account/none"
    for url in ("", unknown):
        with pytest.raises(CaError) as caught:
            await at(quick_pebble, threads, url=url).order(["a.example.com"], profile="classic", replaces="")
        assert (caught.value.type, caught.value.is_final) == ("accountDoesNotExist", True)


async def test_an_account_is_found_by_its_key_where_its_address_is_not_known(quick_pebble, threads):
    pem = key_pem()
    await at(quick_pebble, threads, key=pem).register(binding_key="")
    found = await at(quick_pebble, threads, key=pem).order(["a.example.com"], profile="classic", replaces="")
    assert found.status == "pending"
