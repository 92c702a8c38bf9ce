"""Orders at a real CA, from the first request to the certificate."""

import json

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from common.pki.certificate import decode
from manager.domain.renewal.chains import choose_chain
from manager.domain.renewal.moments import ari_id
from manager.domain.renewal.records import ChallengeKind
from manager.usecases.renewal.ports import CaError
from tests.integration.acme.parts import account, asking, decided, issue, prove, request_pem, show, unproven
from tests.pebble import NEEDED
from tests.pki import DAY_S

pytestmark = NEEDED

NAMES = ["a.example.com", "b.example.com"]


def leaf_of(chain: str):
    """Return the first certificate of a chain."""
    first = x509.load_pem_x509_certificates(chain.encode())[0]
    return decode(first.public_bytes(Encoding.DER))


def id_of(chain: str) -> str:
    leaf = leaf_of(chain)
    found = ari_id(leaf.issuer_key_id, leaf.serial_no)
    assert found is not None
    return found


async def test_names_and_an_address_are_proven_by_text_and_end_in_a_certificate(pebble, threads):
    ca = asking(account(pebble.directory_url, trust_pem=pebble.trust_pem), threads)
    await ca.register(binding_key="")
    chains = await issue(ca, pebble, NAMES, addresses=["127.0.0.1"], profile="shortlived")
    leaf = leaf_of(chains[0])
    assert set(leaf.dns_names) == set(NAMES)
    assert leaf.ip_addresses == ("127.0.0.1",)
    assert leaf.not_after_s - leaf.not_before_s < 6 * DAY_S + 2


async def test_a_wildcard_is_proven_by_a_record(ca, quick_pebble):
    ordered = await ca.order(["*.example.org"], profile="classic", replaces="")
    found = await ca.authorization(ordered.authorization_urls[0], ChallengeKind.DNS)
    assert (found.name, found.proof.name) == ("*.example.org", "example.org")
    assert (await ca.authorization(found.url, ChallengeKind.HTTP)).proof is None
    chains = await issue(ca, quick_pebble, ["*.example.org"], kind=ChallengeKind.DNS)
    assert leaf_of(chains[0]).dns_names == ("*.example.org",)


@pytest.mark.parametrize("name", ["stays.example.net", "*.stays.example.net"])
async def test_a_name_is_proven_by_a_record_that_stays(ca, quick_pebble, name):
    chains = await issue(ca, quick_pebble, [name], kind=ChallengeKind.DNS_PERSIST)
    assert leaf_of(chains[0]).dns_names == (name,)
    # the record is still there, and is the same for the next order
    found = await unproven(ca, name, ChallengeKind.DNS_PERSIST)
    assert found.proof.token == ""
    await ca.answer(found.proof)
    assert (await decided(ca, found.url, ChallengeKind.DNS_PERSIST)).status == "valid"


async def test_a_proof_that_is_not_right_is_told_in_the_cas_words_without_what_it_wanted_to_see(
    ca, quick_pebble
):
    ordered = await ca.order(["wrong.example.com"], profile="classic", replaces="")
    found = await ca.authorization(ordered.authorization_urls[0], ChallengeKind.HTTP)
    quick_pebble.show_text(found.proof.token, "something else")
    await ca.answer(found.proof)
    found_again = await decided(ca, found.url, ChallengeKind.HTTP)
    assert (found_again.status, found_again.type, found_again.proof) == ("invalid", "unauthorized", None)
    assert "did not match" in found_again.message
    assert found.proof.response not in found_again.message
    assert "<secret>" in found_again.message
    assert (await ca.look(ordered.url)).status == "invalid"


async def test_a_proof_that_was_seen_already_is_not_asked_for_again(ca, quick_pebble):
    ordered = await ca.order(["twice.example.com"], profile="classic", replaces="")
    found = await ca.authorization(ordered.authorization_urls[0], ChallengeKind.HTTP)
    show(quick_pebble, ChallengeKind.HTTP, found.proof)
    await ca.answer(found.proof)
    await decided(ca, found.url, ChallengeKind.HTTP)
    await ca.answer(found.proof)


async def test_a_profile_that_the_ca_does_not_have_is_refused_in_its_words(ca):
    with pytest.raises(CaError) as caught:
        await ca.order(NAMES, profile="tlsserver", replaces="")
    assert (caught.value.type, caught.value.is_final) == ("invalidProfile", True)
    assert "tlsserver" in caught.value.detail


async def test_a_name_that_the_ca_does_not_sign_is_named(ca):
    with pytest.raises(CaError) as caught:
        await ca.order(["a.example.com", "x.blocked.example"], profile="classic", replaces="")
    assert (caught.value.type, caught.value.is_final) == ("rejectedIdentifier", True)
    assert "x.blocked.example" in caught.value.detail


async def test_an_order_is_refused_its_certificate_before_its_names_are_proven(ca):
    ordered = await ca.order(["early.example.com"], profile="classic", replaces="")
    with pytest.raises(CaError) as caught:
        await ca.finalize(ordered.finalize_url, request_pem(["early.example.com"]))
    assert (caught.value.type, caught.value.is_final) == ("orderNotReady", False)


async def test_a_request_that_asks_for_other_names_is_refused_for_good(ca, quick_pebble):
    ordered = await ca.order(["one.example.com"], profile="classic", replaces="")
    await prove(ca, quick_pebble, ordered, ChallengeKind.HTTP)
    with pytest.raises(CaError) as caught:
        await ca.finalize(ordered.finalize_url, request_pem(["two.example.com"]))
    assert (caught.value.type, caught.value.is_final) == ("unauthorized", True)


async def test_an_order_that_waits_is_found_among_the_accounts_however_many_pages_they_fill(ca, quick_pebble):
    names = ["lost.example.com", "more.example.com"]
    assert await ca.find_order(names, profile="classic") is None
    for number in range(quick_pebble.orders_per_page):
        await ca.order([f"before{number}.example.com"], profile="classic", replaces="")
    lost = await ca.order(names, profile="classic", replaces="")
    for number in range(quick_pebble.orders_per_page):
        await ca.order([f"after{number}.example.com"], profile="classic", replaces="")
    found = await ca.find_order(["More.example.com", "lost.example.com"], profile="classic")
    assert found is not None
    assert (found.url, found.finalize_url) == (lost.url, lost.finalize_url)
    assert await ca.find_order(["lost.example.com"], profile="classic") is None


async def test_an_order_that_has_its_certificate_is_not_found_again(ca, quick_pebble):
    await issue(ca, quick_pebble, ["done.example.com"])
    assert await ca.find_order(["done.example.com"], profile="classic") is None


async def test_an_order_of_another_profile_is_not_found_where_this_one_or_none_is_asked_for(ca):
    names = ["profiled.example.com"]
    lost = await ca.order(names, profile="shortlived", replaces="")
    assert await ca.find_order(names, profile="classic") is None
    assert await ca.find_order(names, profile="") is None
    found = await ca.find_order(names, profile="shortlived")
    assert found is not None
    assert found.url == lost.url


async def test_an_order_names_what_it_replaces_and_is_asked_for_without_where_that_is_refused(
    ca, quick_pebble
):
    first = await issue(ca, quick_pebble, NAMES)
    for _ in range(2):
        await issue(ca, quick_pebble, NAMES, replaces=id_of(first[0]))
    assert quick_pebble.log.count("is a replacement of") == 1
    unknown = "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE"
    assert (await ca.order(["new.example.com"], profile="classic", replaces=unknown)).status == "pending"


async def test_every_chain_of_a_certificate_comes_and_the_preferred_one_is_chosen(ca, quick_pebble):
    chains = await issue(ca, quick_pebble, ["chains.example.com"])
    roots = [quick_pebble.root_name(number) for number in range(3)]
    assert len(chains) == len(set(roots)) == 3
    assert len({leaf_of(chain).fingerprint for chain in chains}) == 1
    for number, root in enumerate(roots):
        chosen = choose_chain(chains, root)
        assert (chosen.text, chosen.is_preferred) == (chains[number], True)
    assert choose_chain(chains, "Another Root").text == chains[0]


async def test_a_window_is_the_cas_and_follows_it_when_it_moves(ca, quick_pebble):
    chains = await issue(ca, quick_pebble, ["window.example.com"], profile="shortlived")
    leaf, certificate_id = leaf_of(chains[0]), id_of(chains[0])
    suggested = await ca.suggested(certificate_id)
    assert leaf.not_before_s < suggested.window.start_s < suggested.window.end_s < leaf.not_after_s
    assert suggested.retry_after_s == 6 * 3600
    moved = {
        "suggestedWindow": {"start": "2026-01-02T04:00:00Z", "end": "2026-01-03T04:00:00+00:00"},
        "explanationURL": "https://ca.example/incident",
    }
    quick_pebble.suggest(chains[0], json.dumps(moved))
    now = await ca.suggested(certificate_id)
    assert (now.window.start_s, now.window.end_s) == (1767326400.0, 1767412800.0)
    assert now.why == "https://ca.example/incident"


@pytest.mark.parametrize(
    "answer", ["nothing", "{}", '{"suggestedWindow": {"start": "2026-01-02", "end": "x"}}']
)
async def test_a_window_that_cannot_be_read_is_an_error_that_passes(ca, quick_pebble, answer):
    chains = await issue(ca, quick_pebble, ["garbled.example.com"])
    quick_pebble.suggest(chains[0], answer)
    with pytest.raises(CaError) as caught:
        await ca.suggested(id_of(chains[0]))
    assert not caught.value.is_final


async def test_a_ca_suggests_nothing_for_what_it_does_not_know(ca):
    assert await ca.suggested("aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE") is None


async def test_an_order_that_is_not_there_is_gone_for_good(ca, quick_pebble):
    with pytest.raises(CaError) as caught:
        await ca.look(f"https://127.0.0.1:{quick_pebble.port}/my-order/none")
    assert caught.value.is_final
