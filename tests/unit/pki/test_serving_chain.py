import random

from common.pki.certificate import decode
from common.pki.chain import serving_chain
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


def test_a_cross_signed_root_is_not_served_when_the_root_itself_is_there():
    old, new = make_root("Old"), make_root("New")
    crossed = cross_sign(old, new)
    low = make_intermediate(new, "Low")
    assert served(make_leaf(low), old, crossed, new, low) == ders(low)
    assert served(make_leaf(low), crossed, low) == ders(low, crossed)


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
