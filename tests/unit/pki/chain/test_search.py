"""The search for a path is bounded in signatures, steps and depth."""

from common.api.codes import ChainState
from common.pki.certificate import decode
from manager.pki.chain.chain import build_chain, serving_chain
from manager.pki.chain.search import Issuers, Search, WorkLimits
from tests.pki import (
    DAY_S,
    NOW_S,
    cross_sign,
    make_intermediate,
    make_key,
    make_leaf,
    make_root,
)
from tests.unit.pki.chain.building import LOW, ROOT, build, decoded


def test_a_tangle_of_cross_signed_cas_is_searched_within_bounds():
    roots = [make_root(f"R{number}") for number in range(14)]
    tangle = [cross_sign(one, two) for one in roots for two in roots if one is not two]
    chain = build(make_leaf(roots[0]), uploaded=tangle)
    assert chain.state is ChainState.UNDETERMINED
    assert "CA certificates are named CN=R" in chain.explanation
    assert not chain.missing_issuer
    assert chain.exhausted
    assert serving_chain(decode(make_leaf(roots[0]).certificate_der), decoded(tangle))


def test_a_thousand_intermediates_of_one_name_are_searched_within_bounds():
    many = [make_intermediate(ROOT, "Low") for _ in range(1000)]
    leaf = make_leaf(many[777])
    chain = build(leaf, uploaded=many)
    assert chain.state is ChainState.COMPLETE  # the key identifier says which to try first


def test_a_thousand_look_alikes_without_the_right_one_are_said_not_taken_for_a_missing_issuer():
    many = [make_intermediate(ROOT, "Low") for _ in range(300)]
    chain = build(make_leaf(LOW), uploaded=many)
    assert chain.state is ChainState.UNDETERMINED
    assert "the search met its limit (300 CA certificates are named CN=Low)" in chain.explanation
    assert "not found" not in chain.explanation


def test_of_look_alikes_with_one_key_one_signature_is_verified(monkeypatch):
    from manager.pki.chain import search

    calls = []
    real = search.is_signed_by
    monkeypatch.setattr(search, "is_signed_by", lambda *pair: calls.append(pair) or real(*pair))
    key = make_key()
    gone = make_root("Gone")
    many = [make_intermediate(gone, "Low", key=key) for _ in range(150)]
    good = make_intermediate(ROOT, "Low", key=key, not_after_s=NOW_S + 10 * DAY_S)
    chain = build(make_leaf(good), uploaded=[*many, good])
    assert chain.state is ChainState.COMPLETE
    assert len(calls) < 10


def test_a_chain_deeper_than_the_limit_is_cut():
    tower = [ROOT]
    for floor in range(9):
        tower.append(make_intermediate(tower[-1], f"Floor {floor}"))
    chain = build(make_leaf(tower[-1]), uploaded=tower)
    assert chain.exhausted
    assert chain.state is ChainState.UNDETERMINED
    assert chain.explanation == "The chain of trust could not be determined: the search met its limit."


def test_edges_between_known_cas_are_verified_once(monkeypatch):
    from manager.pki.chain import search

    issuers = Issuers(trusted=decoded([ROOT]), intermediates=decoded([LOW]))
    calls = []
    real = search.is_signed_by
    monkeypatch.setattr(search, "is_signed_by", lambda *pair: calls.append(pair) or real(*pair))
    for _ in range(5):
        build_chain(decode(make_leaf(LOW).certificate_der), issuers, now_s=NOW_S)
    assert len(calls) == 6


def test_no_more_signatures_are_verified_than_allowed(monkeypatch):
    from manager.pki.chain import search

    calls = []
    monkeypatch.setattr(search, "is_signed_by", lambda *pair: calls.append(pair))
    wrong = [make_intermediate(ROOT, "Low") for _ in range(60)]
    chain = build(make_leaf(LOW), uploaded=wrong, edges=50)
    assert len(calls) == 50
    assert chain.exhausted


def test_no_more_steps_are_taken_than_allowed():
    roots = [make_root(f"R{number}") for number in range(8)]
    tangle = [cross_sign(one, two) for one in roots for two in roots if one is not two]
    search = Search(Issuers(), decoded(tangle), WorkLimits(edges=10_000, steps=300))
    assert len(list(search.paths(decode(make_leaf(roots[0]).certificate_der)))) <= 301
    assert search.exhausted
