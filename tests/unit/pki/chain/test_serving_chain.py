import random

from common.api.codes import ChainState
from common.pki.certificate import decode
from common.pki.strict import StrictClient
from manager.pki.chain.chain import build_chain, serving_chain
from manager.pki.chain.search import Issuers
from tests.pki import NOW_S, cross_sign, make_intermediate, make_key, make_leaf, make_root


def served(leaf, *pool):
    chain = serving_chain(decode(leaf.certificate_der), [decode(one.certificate_der) for one in pool])
    return [certificate.der for certificate in chain]


def ders(*made):
    return [one.certificate_der for one in made]


def test_stored_intermediates_complete_the_chain_in_order():
    root = make_root()
    high = make_intermediate(root, "High")
    low = make_intermediate(high, "Low")
    assert served(make_leaf(low), root, high, low) == ders(low, high)
    assert served(make_leaf(low), low) == ders(low)


def test_a_leaf_signed_by_a_root_or_by_itself_needs_nothing():
    root = make_root()
    assert served(make_leaf(root), root) == []
    assert served(make_leaf(None), root) == []


def test_an_intermediate_of_the_same_name_with_another_key_is_not_served():
    root = make_root()
    right, wrong = make_intermediate(root, "Same"), make_intermediate(root, "Same")
    assert served(make_leaf(right), wrong, right) == ders(right)


def test_a_cross_signed_root_that_came_along_is_served_for_clients_that_know_only_its_signer():
    old, new = make_root("Old"), make_root("New")
    crossed = cross_sign(old, new)
    low = make_intermediate(new, "Low")
    assert served(make_leaf(low), old, crossed, new, low) == ders(low, crossed)
    assert served(make_leaf(low), crossed, low) == ders(low, crossed)


def chain_of(leaf, *, trusted, uploaded, now_s=NOW_S):
    return build_chain(
        decode(leaf.certificate_der),
        Issuers(trusted=[decode(one.certificate_der) for one in trusted]),
        uploaded=[decode(one.certificate_der) for one in uploaded],
        now_s=now_s,
    )


def test_what_came_with_the_leaf_stays_served_when_its_root_becomes_trusted():
    old, new = make_root("Old"), make_root("New")
    crossed, low = cross_sign(old, new), make_intermediate(new, "Low")
    leaf = make_leaf(low)
    for trusted in ([old], [old, new], [new]):
        chain = chain_of(leaf, trusted=trusted, uploaded=[low, crossed])
        assert chain.state is ChainState.COMPLETE
        assert [one.der for one in chain.serving] == ders(low, crossed)
        for known in (old, new):
            client = StrictClient([decode(known.certificate_der)])
            assert client.ask(decode(leaf.certificate_der), chain.serving, now_s=NOW_S).accepted


def test_the_signer_of_a_cross_signed_root_is_served_as_well_if_it_came_along():
    oldest, old, new = make_root("Oldest"), make_root("Old"), make_root("New")
    bridge = make_intermediate(old, "Bridge")
    crossed, older = cross_sign(bridge, new), cross_sign(oldest, old)
    low = make_intermediate(new, "Low")
    chain = chain_of(make_leaf(low), trusted=[new], uploaded=[older, bridge, crossed, low, old])
    assert [one.der for one in chain.serving] == ders(low, crossed, bridge, older)


def test_a_cross_signed_root_that_has_expired_is_no_longer_served():
    old, new = make_root("Old"), make_root("New")
    crossed = cross_sign(old, new, not_after_s=NOW_S)
    low = make_intermediate(new, "Low")
    chain = chain_of(make_leaf(low), trusted=[new], uploaded=[low, crossed])
    assert [one.der for one in chain.serving] == ders(low, crossed)
    assert chain.recheck_at_s == NOW_S + 1
    later = chain_of(make_leaf(low), trusted=[new], uploaded=[low, crossed], now_s=chain.recheck_at_s)
    assert [one.der for one in later.serving] == ders(low)


def test_an_intermediate_that_came_along_is_served_rather_than_a_newer_one_of_the_store():
    root, key = make_root(), make_key()
    own = make_intermediate(root, "Same", key=key)
    newer = make_intermediate(root, "Same", key=key, not_after_s=NOW_S + 9_000_000_000)
    chain = chain_of(make_leaf(own), trusted=[root, newer], uploaded=[own])
    assert [one.der for one in chain.serving] == ders(own)


def test_the_walk_turns_back_from_an_intermediate_that_leads_nowhere():
    root, key = make_root(), make_key()
    dead_end = make_intermediate(make_root("Gone"), "Same", key=key, not_after_s=NOW_S + 9_000_000_000)
    good = make_intermediate(root, "Same", key=key)
    assert served(make_leaf(good), dead_end, good, root) == ders(good)


def test_a_cycle_ends():
    one, two = make_root("One"), make_root("Two")
    first, second = cross_sign(one, two), cross_sign(two, one)
    assert served(make_leaf(one), first, second)[0] == second.certificate_der


def test_a_certificate_that_is_no_ca_is_not_an_issuer():
    root = make_root()
    middle = make_leaf(root, ["middle.example.com"])
    assert served(make_leaf(middle), middle, root) == []


def test_a_thousand_intermediates_of_one_name_are_searched_within_bounds():
    root = make_root()
    key = make_key()
    many = [make_intermediate(root, "Same", key=key) for _ in range(300)]
    many += [make_intermediate(make_root("Other"), "Same") for _ in range(300)]
    random.Random(1).shuffle(many)
    leaf = make_leaf(many[0])
    assert len(served(leaf, *many, root)) <= 1
